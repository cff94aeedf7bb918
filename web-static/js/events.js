// Events of the node: their kinds, and how they are shown.

import { make, setText, workerLink } from "./dom.js";
import { labelled, shortHash, shortWorker } from "./format.js";
import { t } from "./language.js";
import { textColumn, timeColumn } from "./table.js";

/** Title and tone (good, bad or neither) of each event kind. */
export const KINDS = {
  block_found: [t("Block found"), "good"],
  block_confirmed: [t("Block confirmed"), "good"],
  block_orphaned: [t("Block orphaned"), "bad"],
  block_refused: [t("Block rejected"), "bad"],
  node_up: [t("Node started"), ""],
  node_down: [t("Node stopped"), ""],
  worker_up: [t("Worker up"), "good"],
  worker_down: [t("Worker down"), "bad"],
  hash_rate_drop: [t("Hash rate dropped"), "bad"],
  hash_rate_back: [t("Hash rate recovered"), "good"],
  dashd_lost: [t("Dash Core unreachable"), "bad"],
  dashd_back: [t("Dash Core reachable again"), "good"],
  peers_lost: [t("Peers lost"), "bad"],
  peers_back: [t("Peers reconnected"), "good"],
  ban: [t("Miner banned"), ""],
  storage_problem: [t("Storage problem"), "bad"],
  storage_back: [t("Storage recovered"), "good"],
  votes_risen: [t("More votes for a newer version"), ""],
  votes_fallen: [t("Fewer votes for a newer version"), ""],
  own_votes_refused: [t("Own votes rejected by c2pool-dash"), "bad"],
  own_votes_accepted: [t("Own votes accepted again"), "good"],
  newer_share_type: [t("Unknown share type"), "bad"],
  software_lost: [t("Peer software disappeared"), "bad"],
  software_back: [t("Peer software reappeared"), "good"],
  handshakes_closed: [t("Peers closing connections"), "bad"],
  handshakes_kept: [t("Peers keeping connections"), "good"],
  chain_split: [t("Most work rejected"), "bad"],
  chain_joined: [t("Most work accepted again"), "good"],
};
const CLASSES = { good: "status accepted", bad: "status refused" };
const OF_WORKERS = new Set(["worker_up", "worker_down"]);

/** Return the subject of an event; class `none` hides it in cards if the description repeats it. */
const subjectNode = ({ kind, subject }) => {
  if (subject === "") return make("span", { class: "none" }, t("this node"));
  if (OF_WORKERS.has(kind)) return workerLink(subject, shortWorker(subject));
  const isBlock = kind.startsWith("block_");
  return make("span", { class: isBlock ? "mono subject none" : "mono", title: subject }, isBlock ? shortHash(subject) : subject);
};

export const eventColumns = [
  timeColumn(t("Time")),
  {
    title: t("Event"),
    head: true,
    create: ({ kind }) => {
      const [text, tone] = Object.hasOwn(KINDS, kind) ? KINDS[kind] : [kind, ""];
      return make("span", { class: CLASSES[tone] ?? "status" }, text);
    },
  },
  { title: t("Subject"), create: subjectNode },
  textColumn(t("Description"), ({ text }) => text, "words"),
];

/** Return the rows of a Table for these events. */
export const eventRows = (events) =>
  events.map((event) => ({ ...event, ts: event.time, key: `${event.time} ${event.kind} ${event.subject}` }));

/** Announce a new event to screen readers. */
export function announceEvent(node, { kind, text }) {
  setText(node, labelled(Object.hasOwn(KINDS, kind) ? KINDS[kind][0] : kind, text));
}
