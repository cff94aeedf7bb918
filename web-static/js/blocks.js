// Columns of block tables.

import { copyValue, make, setText } from "./dom.js";
import { duration, integer, known, labelled, listed, percent, shortHash } from "./format.js";
import { t } from "./language.js";

/** Meaning of each block status. */
export const STATUS = {
  accepted: t("In the chain; the reward can be spent after 100 confirmations"),
  confirmed: t("In the chain permanently; the reward can be spent"),
  orphaned: t("Valid, but another block replaced it"),
  refused: t("Rejected by Dash Core"),
  sent: t("Sent to Dash Core, not in the chain yet"),
};

/** The words for the block statuses: the node calls a rejected block "refused". */
const STATUS_WORDS = { accepted: t("accepted"), confirmed: t("confirmed"), orphaned: t("orphaned"), refused: t("rejected"), sent: t("sent") };
export const statusText = (status) => (Object.hasOwn(STATUS_WORDS, status) ? STATUS_WORDS[status] : status);

/** Shorten the hashes in a reason, which would make the column as wide as they are. */
const shortened = (reason) => reason.replace(/[0-9a-f]{64}/g, shortHash);

/** The status column, for items with {status, reason, confirmations, chainlock}. */
export const statusColumn = {
  title: t("Status"),
  create: () => make("span", { class: "status" }),
  update: (cell, { status, reason, confirmations, chainlock }) => {
    const node = cell.firstElementChild;
    node.className = `status ${Object.hasOwn(STATUS, status) ? status : ""}`;
    node.title = reason ? labelled(STATUS[status] ?? "", reason) : (STATUS[status] ?? "");
    const depth = confirmations > 0 ? [t`${integer(confirmations)} conf.`, ...(chainlock ? ["ChainLock"] : [])] : [];
    const text = listed([statusText(status), ...depth]);
    const isLost = status === "refused" || status === "orphaned";
    setText(node, isLost && reason ? labelled(text, shortened(reason)) : text);
  },
};

/**
 * A column of hashes, of blocks if nothing else is said: `of` returns the hash of an item. `explorer` returns the URL
 * prefix of a block explorer, or "" to copy the hash instead.
 * @param {() => string} explorer
 * @param {{title?: string, what?: string, of?: (item: any) => string}} options
 */
export const hashColumn = (explorer = () => "", { title = t("Block hash"), what = t("block hash"), of = ({ hash }) => hash } = {}) => ({
  title,
  create: (item) => {
    const start = explorer();
    const hash = of(item);
    if (!/^https:\/\//.test(start)) return copyValue(hash, shortHash(hash), what);
    const attributes = { href: start + encodeURIComponent(hash), rel: "noreferrer noopener", target: "_blank", class: "mono", title: hash };
    return make("a", attributes, shortHash(hash), make("span", { class: "unseen" }, t(" in a block explorer (opens in a new tab)")));
  },
});

/** Return how long a round took, and the time expected. */
export function roundText({ time_to_find: took, expected_time: expected }) {
  if (!known(took)) return "–";
  return known(expected) ? t`${duration(took)} (expected ${duration(expected)})` : duration(took);
}

/** Return a luck, which the API gives in percent, as text. */
export const luckText = (luck) => (known(luck) ? percent(luck / 100, 0) : "–");
