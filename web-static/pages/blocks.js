// The blocks page: the latest blocks live, all blocks from the history, and the luck per round.

import { historyProblem } from "../js/api.js";
import { hashColumn, luckText, roundText, statusColumn, statusText } from "../js/blocks.js";
import { byId, longShort, make, setText, shareLink, workerLink } from "../js/dom.js";
import { coins, duration, exact, fixed, integer, isHash, known, listed, percent, shortWorker } from "../js/format.js";
import { plural, t } from "../js/language.js";
import { showPages } from "../js/listing.js";
import { LuckChart } from "../js/luckchart.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { explainTerms } from "../js/terms.js";
import { TimeSpan } from "../js/timespan.js";

const DAY = 86400;
const PAGE = matchMedia("(max-width: 40rem)").matches ? 15 : 50;
let symbol = "DASH";

// --- tables ------------------------------------------------------------------------------------------------

/** Return who found a block: `worker` is a username, or unknown for a block of another node. */
function finder(worker) {
  if (worker === "" || worker === "another node") return t("another node");
  return workerLink(worker, longShort(worker, shortWorker(worker)));
}

const columns = [
  timeColumn(t("Found")),
  { ...textColumn(t("Height"), ({ height }) => integer(height)), head: true },
  hashColumn(),
  { title: t("Found by"), side: "finder", create: ({ worker }) => finder(worker) },
  { title: t("Share"), create: ({ share }) => (isHash(share) ? shareLink(share) : "–") },
  textColumn(t("Value"), ({ dash }) => `${dash}\u00a0${symbol}`),
  textColumn(t("Round duration"), roundText, "number round"),
  textColumn(t("Luck"), ({ luck }) => luckText(luck)),
  statusColumn,
];

const newest = new Table("blocks", {
  caption: t("Latest blocks: time, height, hash, finder, share, value, round duration, luck and status"),
  few: 10,
  empty: emptyNote(),
  columns,
});

const older = new Table("older", {
  caption: t("Blocks from the history database: time, height, hash, finder, share, value, round duration, luck and status"),
  few: PAGE,
  empty: emptyNote(),
  columns,
});
older.few = PAGE;

const newestRow = (block) => ({
  ...block,
  key: block.hash,
  height: block.number,
  worker: block.miner,
  dash: coins(block.value),
  status: block.detailed_status,
});

const olderRow = (block) => ({
  ...block,
  key: block.hash,
  ts: block.time,
  dash: exact(block.value.dash),
  ...block.round,
});

// --- luck --------------------------------------------------------------------------------------------------

/** @type {?LuckChart} */
let chart = null;

function showLuck(luck) {
  const { current_round: now } = luck;
  setText(byId("f-round"), percent(now.progress, 0));
  if (known(now.time)) setText(byId("f-round-note"), t`of the expected work, in ${duration(now.time)}`);
  setText(byId("f-next"), known(now.expected_time) ? duration(now.expected_time) : "–");
  setText(byId("f-blocks"), integer(luck.blocks));
  for (const period of luck.periods) showPeriod(period);
  showRounds(luck.rounds);
}

function showPeriod({ days, blocks, expected_blocks: expected, luck, seconds }) {
  setText(byId(`f-luck-${days}`), luckText(luck));
  const parts = [plural(blocks, "{0} block", "{0} blocks")];
  if (known(expected)) parts.push(t`${fixed(expected, expected < 10 ? 1 : 0)} expected`);
  const whole = seconds > 0.98 * days * DAY;
  const note = whole ? listed(parts) : t`${listed(parts)} (last ${duration(seconds)} only)`;
  setText(byId(`f-luck-${days}-note`), seconds < 1 ? t("not known yet") : note);
}

function showRounds(rounds) {
  if (rounds.length === 0) {
    byId("luck-body").replaceChildren(make("p", { class: "empty" }, t("No blocks yet. The first round is in progress.")));
    chart = null;
    return;
  }
  chart ??= new LuckChart(byId("luck-body"));
  chart.show(rounds);
}

// --- the history -------------------------------------------------------------------------------------------

let page = 0;
const span = new TimeSpan("older", "week", changed);
const again = pollPath(() => `api/v1/history/blocks?${span.query}&offset=${page * PAGE}&limit=${PAGE}`, 30000, showHistory);

function showHistory(value, status) {
  const problem = historyProblem(value, status);
  byId("older-csv").hidden = problem !== null;
  older.show((problem === null ? value.blocks : []).map(olderRow), make("span", {}, problem ?? t("No blocks in this period.")));
  setText(byId("older-count"), problem === null ? integer(value.total) : "");
  showPages(byId("older-pages"), page, problem === null ? Math.ceil(value.total / PAGE) : 1, (wanted) => {
    page = wanted;
    again();
  });
}

/** Show the first page of the newly chosen time range. */
function changed() {
  page = 0;
  updateCsvLink();
  again();
}

function updateCsvLink() {
  byId("older-csv").href = `../api/v1/history/blocks.csv?${span.query}`;
}

updateCsvLink();

// --- the page ----------------------------------------------------------------------------------------------

explainTerms();
startPage({
  views: ["recent_blocks", "api/v1/luck", "api/v1/pool"],
  show(values) {
    const [blocks, luck, pool] = ["recent_blocks", "api/v1/luck", "api/v1/pool"].map((view) => values.get(view));
    if (pool !== undefined && pool.symbol !== symbol) {
      symbol = pool.symbol;
      older.show(older.items);
    }
    if (blocks !== undefined) {
      newest.show(blocks.map(newestRow), make("span", {}, t("No blocks yet. A block is a share that also meets Dash’s network target.")));
    }
    if (luck !== undefined) showLuck(luck);
  },
  onEvent(event) {
    if (event.event === "block") setText(byId("said"), t`Block ${event.number}: ${statusText(event.status)}.`);
  },
});
