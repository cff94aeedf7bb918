// The dashboard: the pool and this node at a glance, and how to connect a miner.

import { historyProblem } from "../js/api.js";
import { STATUS, statusText } from "../js/blocks.js";
import { buildCalculator } from "../js/calculator.js";
import { showAddressType, showHowToConnect, startConnect } from "../js/connect.js";
import { byId, copyValue, inTurn, longShort, make, setText, shareLink, workerLink } from "../js/dom.js";
import { difficulty, duration, estimatedRate, exact, fixed, hashRate, integer, isHash, labelled, percent, shortHash, shortWorker } from "../js/format.js";
import { eventColumns, eventRows, announceEvent } from "../js/events.js";
import { phrase, plural, t } from "../js/language.js";
import { rememberButton, rememberedMiner } from "../js/mine.js";
import { incomeNote, incomeText, payoutsNote, payoutsText, periodOf, showVerdict, waitText } from "../js/miner.js";
import { buildWishes } from "../js/notify.js";
import { pollPath, startPage } from "../js/page.js";
import { explainTerms } from "../js/terms.js";
import { GraphGroup } from "../js/timeseries.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { REASONS } from "../js/workers.js";

const VIEWS = ["api/v1/pool", "api/v1/stratum", "api/v1/luck", "api/v1/shares", "recent_blocks"];
const LUCK_DAYS = [1, 7, 30];
const MINE_PERIOD = 5000;

const put = (id, text) => setText(byId(id), text);
let symbol = "DASH";

// --- tables ------------------------------------------------------------------------------------------------

/** Return the name of a worker; other nodes do not report theirs. */
const finder = (name) => {
  if (!name || name === "another node") return t("another node");
  return workerLink(name, longShort(name, shortWorker(name)));
};

const blocksTable = new Table("blocks", {
  caption: t("Latest blocks of the pool: time, height, hash, finder, luck and status"),
  few: 8,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { ...textColumn(t("Height"), ({ number }) => integer(number)), head: true },
    { title: t("Block hash"), create: ({ hash }) => copyValue(hash, shortHash(hash), t("block hash")) },
    { title: t("Found by"), create: ({ miner }) => finder(miner) },
    textColumn(t("Luck"), ({ luck }) => luckText(luck)),
    {
      title: t("Status"),
      create: () => make("span", { class: "status" }),
      update: (cell, { detailed_status: status, reason }) => {
        const node = cell.firstElementChild;
        node.className = `status ${Object.hasOwn(STATUS, status) ? status : ""}`;
        node.title = reason ? labelled(STATUS[status] ?? "", reason) : (STATUS[status] ?? "");
        setText(node, status === "refused" && reason ? labelled(statusText(status), reason) : statusText(status));
      },
    },
  ],
});

const sharesTable = new Table("shares", {
  caption: t("Latest shares found on this node: time, hash, worker and status"),
  few: 8,
  empty: emptyNote(),
  columns: [
    timeColumn(t("Found")),
    { title: t("Share"), head: true, create: ({ hash }) => shareLink(hash) },
    { title: t("Worker"), create: ({ worker }) => finder(worker) },
    {
      title: t("Status"),
      create: () => make("span", { class: "status" }),
      update: (cell, { dead }) => {
        cell.firstElementChild.className = dead ? "status refused" : "";
        setText(cell.firstElementChild, dead ? t("dead on arrival") : t("valid"));
      },
    },
  ],
});

const eventsTable = new Table("events", {
  caption: t("Recent events: time, event, subject and description"),
  few: 6,
  empty: emptyNote(),
  columns: eventColumns,
});
const fetchEvents = pollPath("api/v1/history/events?range=week&limit=6", 30000, (value, status) => {
  const problem = historyProblem(value, status);
  eventsTable.show(problem === null ? eventRows(value.events) : [], problem === null ? EMPTY.events : make("span", {}, problem));
  put("events-count", problem === null && value.total > 0 ? integer(value.total) : "");
});

// Empty states, created once: `show` replaces them only if they change.
const EMPTY = {
  events: make("span", {}, t("No events in the last week.")),
  shares: make("span", {}, ...phrase`No shares yet. A share appears here when a miner on this node finds one. ${make("a", { href: "#connect" }, t("How to connect a miner"))}`),
  blocks: make("span", {}, t("No blocks yet. See the expected time to block above.")),
};

// --- figures -----------------------------------------------------------------------------------------------

const luckText = (luck) => (luck === null || luck === undefined ? "–" : percent(luck / 100, 0));
const counted = (n, total) => (total > 0 ? `${integer(n)} (${percent(n / total)})` : integer(n));

function showPool(pool) {
  if (pool.symbol !== symbol) {
    symbol = pool.symbol;
    if (mineShown !== null) showMine(mineShown, 200);
  }
  const waiting = pool.block_height === null;
  const known = pool.share_chain_height >= 2;
  put("f-pool", known ? hashRate(pool.observed_hash_rate) : t("not known yet"));
  put("f-pool-note", poolNote(pool, known));
  put("f-time", known && pool.observed_time_to_block !== null ? duration(pool.observed_time_to_block) : t("not known yet"));
  put("f-time-note", known ? t("for the whole pool, on average") : t("needs the pool hash rate and Dash Core"));
  put("f-diff", waiting ? "–" : difficulty(pool.network_difficulty));
  put("f-diff-note", waiting ? t("waiting for Dash Core") : t`network at ${hashRate(pool.network_hash_rate)}`);
  put("f-height", waiting ? "–" : integer(pool.block_height));
  put("f-chain", integer(pool.share_chain_height));
  put("h-stale", percent(pool.stale_proportion));
  showAddressType(pool);
  document.title = known ? t`${hashRate(pool.observed_hash_rate)} – p2pool-dash node` : t("p2pool-dash node");
}

function poolNote(pool, known) {
  if (!known) return t("the share chain has fewer than two shares");
  if (!(pool.network_hash_rate > 0)) return t("all miners in the pool");
  const part = pool.observed_hash_rate / pool.network_hash_rate;
  return part >= 1 ? t("nearly the whole network, judging by its difficulty") : t`${percent(part, 2)} of the whole network`;
}

function showNode(node) {
  showHowToConnect(node);
  put("f-local", estimatedRate(node));
  put("f-local-note", localNote(node));
  put("h-eff", node.efficiency === null ? t("no shares yet") : percent(node.efficiency));
  put("h-perfect", node.efficiency_if_miner_perfect === null ? "–" : percent(node.efficiency_if_miner_perfect));
  put("h-total", integer(node.shares.total));
  put("h-orphan", counted(node.shares.orphan, node.shares.total));
  put("h-dead", counted(node.shares.dead, node.shares.total));
  put("n-version", node.version);
  put("n-uptime", duration(node.uptime));
  put("n-peers", t`${integer(node.peers.incoming + node.peers.outgoing)} (${integer(node.peers.outgoing)} outgoing)`);
  put("n-fee", percent(node.fee, 2));
  put("n-donation", percent(node.donation, 2));
  const known = node.payout_addresses.length > 0;
  put("f-payout", known ? `${exact(node.next_payout.dash)} ${symbol}` : "–");
  put("f-payout-note", known ? t("to this node’s own address, from the next block") : t("this node has no address yet"));
}

function localNote({ connections, workers, hash_rate: rate, dead_hash_rate: dead }) {
  if (connections === 0) return t("no miners connected");
  const named = plural(workers, "{0} worker", "{0} workers");
  if (!(rate > 0)) return t`${named}, no submissions yet`;
  return dead > 0 ? t`${named}, ${percent(dead / rate)} dead on arrival` : named;
}

function showStratum({ accepted, dead, refused, refused_by: by }) {
  put("h-accepted", integer(accepted));
  const parts = Object.entries(by).filter(([, n]) => n > 0).map(([reason, n]) => `${integer(n)} ${REASONS[reason] ?? reason}`);
  const late = dead > 0 ? t`${integer(dead)} of them dead on arrival. ` : "";
  put("h-refused", late + (refused === 0 ? t("No submissions rejected.") : t`Rejected: ${parts.join(", ")}.`));
}

function showLuck(luck) {
  for (const days of LUCK_DAYS) {
    const period = luck.periods?.find((each) => each.days === days);
    put(`l-${days}`, luckText(period?.luck));
    put(`l-${days}-note`, period === undefined ? "" : periodNote(period));
  }
  const { time, progress } = luck.current_round;
  put("l-round", progress === null ? "–" : percent(progress, 0));
  put("l-round-note", time === null ? "" : t`${duration(time)} since the last block`);
}

/** Return blocks found and expected; a node that started recently knows only part of the period. */
function periodNote({ days, seconds, blocks, expected_blocks: expected }) {
  if (seconds < 1) return t("not known yet");
  const found = plural(blocks, "{0} block", "{0} blocks");
  const text = expected === null ? found : t`${found}, ${fixed(expected, 1)} expected`;
  return seconds < 0.98 * days * 86400 ? t`${text} (last ${duration(seconds)} only)` : text;
}

let newestBlock = null;

function showBlocks(blocks) {
  blocksTable.show(blocks.map((block) => ({ ...block, key: block.hash })), EMPTY.blocks);
  const newest = blocks[0];
  if (newestBlock !== null && newest !== undefined && newest.hash !== newestBlock) {
    put("said", t`The pool found block ${integer(newest.number)}.`);
  }
  newestBlock = newest?.hash ?? "";
}

function showShares({ shares }) {
  const rows = shares.filter(({ hash }) => isHash(hash)).map((share) => ({ ...share, key: share.hash, ts: share.time }));
  sharesTable.show(rows, EMPTY.shares);
}

// --- my miner ----------------------------------------------------------------------------------------------

const mine = rememberedMiner();
/** What is shown of it, to be shown again once the coin symbol is known. */
let mineShown = null;

function showMine(value, status) {
  if (status !== 200) return;
  mineShown = value;
  showVerdict(value);
  put("m-rate", estimatedRate(value));
  const { expected } = value;
  put("m-share", waitText(expected?.share_time));
  put("m-payout", waitText(expected?.payout_time));
  const [day, week, month] = [1, 7, 30].map((days) => periodOf(expected, days));
  put("m-day", incomeText(day, symbol));
  put("m-day-note", incomeNote(day, expected?.probability, symbol));
  put("m-month", incomeText(month, symbol));
  put("m-month-note", incomeNote(month, expected?.probability, symbol));
  put("m-week", payoutsText(week));
  put("m-week-note", payoutsNote(week, expected?.probability));
}

if (mine !== null) {
  put("mine-name", mine);
  byId("mine-link").href = `worker.html?name=${encodeURIComponent(mine)}`;
  // A changed choice also moves what is below: the page starts anew.
  rememberButton(byId("forget"), mine, () => location.reload());
  pollPath(`api/v1/miners/${encodeURIComponent(mine)}`, MINE_PERIOD, showMine);
}

// --- the page ----------------------------------------------------------------------------------------------

buildWishes(byId("wishes"));

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = byId("find-name").value.trim();
  if (wanted === "") byId("find-name").focus();
  else location.href = `worker.html?name=${encodeURIComponent(wanted)}`;
});

function show(values) {
  const given = (view, shower) => {
    if (values.has(view)) shower(values.get(view));
  };
  given("api/v1/pool", showPool);
  given("api/v1/node", showNode);
  given("api/v1/stratum", showStratum);
  given("api/v1/luck", showLuck);
  given("api/v1/shares", showShares);
  given("recent_blocks", showBlocks);
}

startConnect();
explainTerms();
startPage({
  views: VIEWS,
  show,
  onEvent(event) {
    if (event.event !== "happened") return;
    announceEvent(byId("said"), event);
    fetchEvents();
  },
});
inTurn(
  () => buildCalculator(byId("calculator"), () => symbol),
  () =>
    new GraphGroup({
      tools: "graph-tools",
      label: t("hash rate"),
      of: "pool",
      graphs: [
        {
          holder: "graph-body",
          title: t("Hash rate of the pool and of this node"),
          format: hashRate,
          blocks: true,
          lines: [
            { figure: "pool_hash_rate", label: t("Pool"), colour: 1, filled: true },
            { figure: "local_hash_rate", label: t("This node"), colour: 2 },
          ],
        },
      ],
    }),
);
