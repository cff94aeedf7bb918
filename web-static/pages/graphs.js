// The graphs page: the history of the pool and the node.

import { bytes, difficulty, hashRate, percent, significant } from "../js/format.js";
import { startPage } from "../js/page.js";
import { explainTerms } from "../js/terms.js";
import { GraphGroup } from "../js/timeseries.js";

let symbol = "DASH";
const milliseconds = (seconds) => `${significant(seconds * 1000, 3)}\u00a0ms`;
const payout = (value) => `${significant(value, 6)}\u00a0${symbol}`;
const line = (figure, label, colour, filled = false) => ({ figure, label, colour, filled });

const GRAPHS = [
  {
    holder: "g-pool",
    title: "Pool hash rate",
    format: hashRate,
    lines: [line("pool_hash_rate", "Pool", 1, true)],
    blocks: true,
    over: line("miner_hash_rate", "Miner (right axis)", 2),
  },
  {
    holder: "g-local",
    title: "This node’s hash rate",
    format: hashRate,
    lines: [line("local_hash_rate", "This node", 1, true), line("local_dead_hash_rate", "DOA", 2)],
    blocks: true,
  },
  { holder: "g-stale", title: "Pool stale rate", format: percent, lines: [line("pool_stale_proportion", "Stale", 2, true)] },
  {
    holder: "g-rates",
    title: "Pool hash rate by share status",
    format: hashRate,
    lines: [line("pool_good_rate", "Good", 3, true), line("pool_orphan_rate", "Orphaned", 4), line("pool_dead_rate", "DOA", 2)],
  },
  {
    holder: "g-shares",
    title: "This node’s hash rate by share status",
    format: hashRate,
    lines: [line("local_good_share_rate", "Good", 3, true), line("local_dead_share_rate", "DOA", 2)],
  },
  { holder: "g-difficulty", title: "Network difficulty", format: difficulty, lines: [line("network_difficulty", "Difficulty", 4, true)] },
  { holder: "g-payout", title: "Payout to this node", format: payout, lines: [line("own_payout", "Per block", 1, true)] },
  {
    holder: "g-miners",
    title: "Miners",
    format: (value) => significant(value, 4),
    whole: true,
    lines: [
      line("workers", "Workers", 1),
      line("connected_addresses", "Addresses", 3),
      line("working_addresses", "Active addresses", 4),
      { ...line("connections", "Connections", 2), dashed: true }, // usually as many as workers
    ],
  },
  {
    holder: "g-peers",
    title: "Peers",
    format: (value) => significant(value, 3),
    whole: true,
    lines: [line("peers_outgoing", "Outgoing", 1), line("peers_incoming", "Incoming", 2)],
  },
  { holder: "g-latency", title: "Dash Core latency", format: milliseconds, lines: [line("dashd_latency", "Latency", 5, true)] },
  { holder: "g-memory", title: "Memory", format: bytes, lines: [line("memory", "Memory", 4, true)] },
];

explainTerms();
startPage({
  views: ["api/v1/pool"],
  show: (values) => {
    symbol = values.get("api/v1/pool")?.symbol ?? symbol;
  },
});
new GraphGroup({ tools: "graph-tools", label: "all graphs", of: "pool", graphs: GRAPHS, hasOptions: true });
