// Small DOM helpers. Data from the node enters the page as text only, never as markup.

import { nodeNow } from "./api.js";
import { absoluteTime, ago, known, shortHash, shortWorker } from "./format.js";
import { t } from "./language.js";

/**
 * Return the element with this id.
 * @returns {any} an element of any kind
 */
export const byId = (id) => document.getElementById(id);

/** Set the text of a node if it differs, so that a selection survives the next poll. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a new element: make("td", {class: "x", title: "y"}, "text", otherNode, ...). Never takes markup. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Resolves when all that was put off by nextTurn has had its turn. */
let turn = Promise.resolve();

/** Return when it is the caller's turn: each turn is a task of its own, so that phones answer in between. */
export function nextTurn() {
  turn = turn.then(() => new Promise((resume) => setTimeout(resume)));
  return turn;
}

/** Build parts of a page that the reader does not wait for: each step in a turn of its own, after what runs now. */
export function inTurn(...steps) {
  for (const step of steps) nextTurn().then(step);
}

export function timeNode(unix) {
  const node = make("time");
  setTime(node, unix);
  return node;
}

export function setTime(node, unix) {
  if (!known(unix)) {
    delete node.dataset.unix;
    node.removeAttribute("datetime");
    node.removeAttribute("title");
    setText(node, "–");
    return;
  }
  if (node.dataset.unix !== String(unix)) {
    node.dataset.unix = String(unix);
    node.dateTime = new Date(unix * 1000).toISOString();
    node.title = absoluteTime(unix);
  }
  setText(node, ago(nodeNow() - unix));
}

/** Update every relative time on the page. */
export function refreshTimes() {
  const now = nodeNow();
  /** @type {NodeListOf<HTMLElement>} */
  const nodes = document.querySelectorAll("time[data-unix]");
  for (const node of nodes) setText(node, ago(now - Number(node.dataset.unix)));
}

export function shareLink(hash, text = shortHash(hash)) {
  return make("a", { href: `share.html?hash=${encodeURIComponent(hash)}`, title: hash, class: "mono", translate: "no" }, text);
}

/** Return a link to the page of a worker or an address: `name` is its username, "ADDRESS" or "ADDRESS.worker". */
export function workerLink(name, ...content) {
  const inside = content.length > 0 ? content : [longShort(name, shortWorker(name))];
  return make("a", { href: `worker.html?name=${encodeURIComponent(name)}`, class: "quiet", translate: "no" }, ...inside);
}

/** Return a text in its full and its short form; the style sheet shows the one that fits. */
export function longShort(full, short) {
  if (full === short) return make("span", { class: "mono", translate: "no" }, full);
  return make(
    "span",
    { class: "mono", title: full, translate: "no" },
    make("span", { class: "is-long" }, full),
    make("span", { class: "is-short" }, short),
  );
}

/** Return a button that shows a shortened value and copies the full one. */
export function copyValue(full, short, what) {
  // What can be read on it is also a part of its name, for who speaks it to the machine.
  const name = full === short ? full : `${full}, ${short}`;
  const attributes = { type: "button", class: "copy mono", translate: "no", title: t`${full}\n(click to copy)`, "aria-label": t`Copy ${what} ${name}` };
  const button = make("button", attributes, short);
  button.addEventListener("click", () => copy(full, button));
  return button;
}

/** Return a "Copy" button for a text that is shown next to it. */
export function copyButton(text, what) {
  const button = make("button", { type: "button", class: "small" }, t("Copy"), make("span", { class: "unseen" }, ` ${what}`));
  button.addEventListener("click", () => copy(text, button));
  return button;
}

/** Copy and confirm it on the button. Also works outside secure contexts, as nodes often use plain http. */
export async function copy(text, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = make("textarea", { class: "unseen", readonly: "", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.dataset.copied = done ? t("copied") : t("not copied");
  button.classList.add(done ? "copied" : "not-copied");
  setTimeout(() => button.classList.remove("copied", "not-copied"), 1200);
  const said = byId("said");
  if (said !== null) said.textContent = done ? t("Copied.") : t("Copy failed.");
}

/** Show a banner, or remove it if `text` is null. It changes, and is read out, only if the text does. */
export function setBanner(id, kind, text) {
  const holder = byId("banner");
  let node = byId(id);
  if (text === null) {
    node?.remove();
    return;
  }
  if (node === null) {
    node = make("p", { id, class: `notice ${kind}` });
    // Read out when it appears, and not again when only its seconds change.
    const mine = node;
    setTimeout(() => mine.setAttribute("aria-live", "off"), 2000);
    if (kind === "offline") holder.prepend(node);
    else holder.append(node);
  }
  setText(node, text);
}
