// The graphs page: the history of the pool and the node.

import { inTurn } from "../js/dom.js";
import { bytes, difficulty, hashRate, milliseconds, percent, significant } from "../js/format.js";
import { t } from "../js/language.js";
import { startPage } from "../js/page.js";
import { explainTerms } from "../js/terms.js";
import { GraphGroup } from "../js/timeseries.js";

let symbol = "DASH";
const payout = (value) => `${significant(value, 6)}\u00a0${symbol}`;
const line = (figure, label, colour, filled = false) => ({ figure, label, colour, filled });

const GRAPHS = [
  {
    holder: "g-pool",
    title: t("Pool hash rate"),
    format: hashRate,
    lines: [line("pool_hash_rate", t("Pool"), 1, true)],
    blocks: true,
    over: line("miner_hash_rate", t("Miner (right axis)"), 2),
  },
  {
    holder: "g-local",
    title: t("This node’s hash rate"),
    format: hashRate,
    lines: [line("local_hash_rate", t("This node"), 1, true), line("local_dead_hash_rate", t("DOA"), 2)],
    blocks: true,
  },
  { holder: "g-stale", title: t("Pool stale rate"), format: percent, lines: [line("pool_stale_proportion", t("Stale"), 2, true)] },
  {
    holder: "g-rates",
    title: t("Pool hash rate by share status"),
    format: hashRate,
    lines: [line("pool_good_rate", t("Good"), 3, true), line("pool_orphan_rate", t("Orphaned"), 4), line("pool_dead_rate", t("DOA"), 2)],
  },
  {
    holder: "g-shares",
    title: t("This node’s hash rate by share status"),
    format: hashRate,
    lines: [line("local_good_share_rate", t("Good"), 3, true), line("local_dead_share_rate", t("DOA"), 2)],
  },
  { holder: "g-difficulty", title: t("Network difficulty"), format: difficulty, lines: [line("network_difficulty", t("Difficulty"), 4, true)] },
  { holder: "g-payout", title: t("Payout to this node"), format: payout, lines: [line("own_payout", t("Per block"), 1, true)] },
  {
    holder: "g-miners",
    title: t("Miners"),
    format: (value) => significant(value, 4),
    whole: true,
    lines: [
      line("workers", t("Workers"), 1),
      line("connected_addresses", t("Addresses"), 3),
      line("working_addresses", t("Active addresses"), 4),
      { ...line("connections", t("Connections"), 2), dashed: true }, // usually as many as workers
    ],
  },
  {
    holder: "g-peers",
    title: t("Peers"),
    format: (value) => significant(value, 3),
    whole: true,
    lines: [line("peers_outgoing", t("Outgoing"), 1), line("peers_incoming", t("Incoming"), 2)],
  },
  { holder: "g-latency", title: t("Dash Core latency"), format: milliseconds, lines: [line("dashd_latency", t("Latency"), 5, true)] },
  { holder: "g-memory", title: t("Memory"), format: bytes, lines: [line("memory", t("Memory"), 4, true)] },
];

explainTerms();
startPage({
  views: ["api/v1/pool"],
  show: (values) => {
    symbol = values.get("api/v1/pool")?.symbol ?? symbol;
  },
});
inTurn(() => new GraphGroup({ tools: "graph-tools", label: t("all graphs"), of: "pool", graphs: GRAPHS, hasOptions: true }));
