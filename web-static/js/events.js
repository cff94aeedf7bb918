// What happened, as the node tells it: what kinds there are, and how one is shown.

import { make, setText, workerLink } from "./dom.js";
import { shortHash, shortWorker } from "./format.js";
import { textColumn, timeColumn } from "./table.js";

/** By the word for it: what people call it, and whether it is good, bad or neither. */
export const KINDS = {
  block_found: ["Block found", "good"],
  block_confirmed: ["Block confirmed", "good"],
  block_orphaned: ["Block orphaned", "bad"],
  block_refused: ["Block refused", "bad"],
  node_up: ["Node started", ""],
  node_down: ["Node stopped", ""],
  worker_up: ["Worker back", "good"],
  worker_down: ["Worker down", "bad"],
  hash_rate_drop: ["Hash rate dropped", "bad"],
  hash_rate_back: ["Hash rate back", "good"],
  dashd_lost: ["Dash Core lost", "bad"],
  dashd_back: ["Dash Core back", "good"],
  peers_lost: ["Other nodes lost", "bad"],
  peers_back: ["Other nodes back", "good"],
  ban: ["Miner’s address banned", ""],
  storage_problem: ["Cannot be written", "bad"],
  storage_back: ["Written again", "good"],
  votes_risen: ["Votes for a newer version rose", ""],
  votes_fallen: ["Votes for a newer version fell", ""],
  own_votes_refused: ["Own votes refused by c2pool-dash", "bad"],
  own_votes_accepted: ["Own votes accepted again", "good"],
  newer_share_type: ["Unknown share type", "bad"],
  software_lost: ["A software’s nodes lost", "bad"],
  software_back: ["A software’s nodes back", "good"],
  handshakes_closed: ["Connections closed at once", "bad"],
  handshakes_kept: ["Connections kept again", "good"],
  chain_split: ["Most work refused", "bad"],
  chain_joined: ["Most work accepted again", "good"],
};
const CLASSES = { good: "status accepted", bad: "status refused" };
const OF_WORKERS = new Set(["worker_up", "worker_down"]);

/** What it is of; `none` where it has no room of its own in a card: the words tell the same. */
const about = ({ kind, subject }) => {
  if (subject === "") return make("span", { class: "none" }, "this node");
  if (OF_WORKERS.has(kind)) return workerLink(subject, shortWorker(subject));
  const isBlock = kind.startsWith("block_");
  return make("span", { class: isBlock ? "mono subject none" : "mono", title: subject }, isBlock ? shortHash(subject) : subject);
};

export const eventColumns = [
  timeColumn("When"),
  {
    title: "What",
    head: true,
    create: ({ kind }) => {
      const [text, tone] = Object.hasOwn(KINDS, kind) ? KINDS[kind] : [kind, ""];
      return make("span", { class: CLASSES[tone] ?? "status" }, text);
    },
  },
  { title: "Of", create: about },
  textColumn("In words", ({ text }) => text, "words"),
];

/** Rows for a Table. */
export const eventRows = (events) =>
  events.map((event) => ({ ...event, ts: event.time, key: `${event.time} ${event.kind} ${event.subject}` }));

/** Says of an event that just happened what somebody who does not see the page would miss. */
export function sayEvent(node, { kind, text }) {
  setText(node, `${Object.hasOwn(KINDS, kind) ? KINDS[kind][0] : kind}: ${text}`);
}
