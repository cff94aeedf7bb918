// Events of the node: their kinds, and how they are shown.

import { make, setText, workerLink } from "./dom.js";
import { shortHash, shortWorker } from "./format.js";
import { textColumn, timeColumn } from "./table.js";

/** Title and tone (good, bad or neither) of each event kind. */
export const KINDS = {
  block_found: ["Block found", "good"],
  block_confirmed: ["Block confirmed", "good"],
  block_orphaned: ["Block orphaned", "bad"],
  block_refused: ["Block rejected", "bad"],
  node_up: ["Node started", ""],
  node_down: ["Node stopped", ""],
  worker_up: ["Worker up", "good"],
  worker_down: ["Worker down", "bad"],
  hash_rate_drop: ["Hash rate dropped", "bad"],
  hash_rate_back: ["Hash rate recovered", "good"],
  dashd_lost: ["Dash Core unreachable", "bad"],
  dashd_back: ["Dash Core reachable again", "good"],
  peers_lost: ["Peers lost", "bad"],
  peers_back: ["Peers reconnected", "good"],
  ban: ["Miner banned", ""],
  storage_problem: ["Storage problem", "bad"],
  storage_back: ["Storage recovered", "good"],
  votes_risen: ["More votes for a newer version", ""],
  votes_fallen: ["Fewer votes for a newer version", ""],
  own_votes_refused: ["Own votes rejected by c2pool-dash", "bad"],
  own_votes_accepted: ["Own votes accepted again", "good"],
  newer_share_type: ["Unknown share type", "bad"],
  software_lost: ["Peer software disappeared", "bad"],
  software_back: ["Peer software reappeared", "good"],
  handshakes_closed: ["Peers closing connections", "bad"],
  handshakes_kept: ["Peers keeping connections", "good"],
  chain_split: ["Most work rejected", "bad"],
  chain_joined: ["Most work accepted again", "good"],
};
const CLASSES = { good: "status accepted", bad: "status refused" };
const OF_WORKERS = new Set(["worker_up", "worker_down"]);

/** Return the subject of an event; class `none` hides it in cards if the description repeats it. */
const subjectNode = ({ kind, subject }) => {
  if (subject === "") return make("span", { class: "none" }, "this node");
  if (OF_WORKERS.has(kind)) return workerLink(subject, shortWorker(subject));
  const isBlock = kind.startsWith("block_");
  return make("span", { class: isBlock ? "mono subject none" : "mono", title: subject }, isBlock ? shortHash(subject) : subject);
};

export const eventColumns = [
  timeColumn("Time"),
  {
    title: "Event",
    head: true,
    create: ({ kind }) => {
      const [text, tone] = Object.hasOwn(KINDS, kind) ? KINDS[kind] : [kind, ""];
      return make("span", { class: CLASSES[tone] ?? "status" }, text);
    },
  },
  { title: "Subject", create: subjectNode },
  textColumn("Description", ({ text }) => text, "words"),
];

/** Return the rows of a Table for these events. */
export const eventRows = (events) =>
  events.map((event) => ({ ...event, ts: event.time, key: `${event.time} ${event.kind} ${event.subject}` }));

/** Announce a new event to screen readers. */
export function announceEvent(node, { kind, text }) {
  setText(node, `${Object.hasOwn(KINDS, kind) ? KINDS[kind][0] : kind}: ${text}`);
}
