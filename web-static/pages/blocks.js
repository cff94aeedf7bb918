// The pool's blocks: the newest live, all of them from the history, and the luck of each round.

import { historyProblem } from "../js/api.js";
import { hashColumn, luckText, roundText, statusColumn } from "../js/blocks.js";
import { byId, longShort, make, setText, shareLink, workerLink } from "../js/dom.js";
import { coins, duration, integer, isHash, known, percent, shortWorker } from "../js/format.js";
import { showPages } from "../js/listing.js";
import { LuckChart } from "../js/luckchart.js";
import { lookUp, startPage } from "../js/page.js";
import { Table, emptyNote, textColumn, timeColumn } from "../js/table.js";
import { TimeSpan } from "../js/timespan.js";

const DAY = 86400;
const PAGE = matchMedia("(max-width: 40rem)").matches ? 15 : 50;
let symbol = "DASH";

// --- tables ------------------------------------------------------------------------------------------------

/** `worker` is what authorized the work; other nodes do not tell whose it was. */
function finder(worker) {
  if (worker === "" || worker === "another node") return "another node";
  return workerLink(worker, longShort(worker, shortWorker(worker)));
}

const columns = [
  timeColumn("Found"),
  { ...textColumn("Height", ({ height }) => integer(height)), head: true },
  hashColumn(),
  { title: "Found by", side: "finder", create: ({ worker }) => finder(worker) },
  { title: "Share", create: ({ share }) => (isHash(share) ? shareLink(share) : "–") },
  textColumn("Value", ({ dash }) => `${dash}\u00a0${symbol}`),
  textColumn("Round took", roundText, "number round"),
  textColumn("Luck", ({ luck }) => luckText(luck)),
  statusColumn,
];

const newest = new Table("blocks", {
  caption: "Newest blocks: time, height, hash, finder, share, value, the round’s time and luck, and status",
  few: 10,
  empty: emptyNote(),
  columns,
});

const older = new Table("older", {
  caption: "Blocks of the history: time, height, hash, finder, share, value, the round’s time and luck, and status",
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
  dash: block.value.dash,
  ...block.round,
});

// --- luck --------------------------------------------------------------------------------------------------

let chart = null;

function showLuck(luck) {
  const { current_round: now } = luck;
  setText(byId("f-round"), percent(now.progress, 0));
  if (known(now.time)) setText(byId("f-round-note"), `of a block’s work, in ${duration(now.time)}`);
  setText(byId("f-next"), known(now.expected_time) ? duration(now.expected_time) : "–");
  setText(byId("f-blocks"), integer(luck.blocks));
  const notes = [known(luck.luck) ? `luck ${luckText(luck.luck)} altogether` : "of the pool"];
  if (luck.known_rounds < luck.blocks) notes.push(`of ${integer(luck.known_rounds)} whose round is known`);
  setText(byId("f-blocks-note"), notes.join(", "));
  for (const period of luck.periods) showPeriod(period);
  showRounds(luck.rounds);
}

function showPeriod({ days, blocks, expected_blocks: expected, luck, seconds }) {
  setText(byId(`f-luck-${days}`), luckText(luck));
  const told = [`${integer(blocks)} ${blocks === 1 ? "block" : "blocks"}`];
  if (known(expected)) told.push(`${expected.toFixed(expected < 10 ? 1 : 0)} expected`);
  const whole = seconds > 0.98 * days * DAY;
  setText(byId(`f-luck-${days}-note`), told.join(", ") + (whole ? "" : `; known are ${duration(seconds)}`));
}

function showRounds(rounds) {
  if (rounds.length === 0) {
    byId("luck-body").replaceChildren(make("p", { class: "empty" }, "No block yet. The first round is still going on."));
    chart = null;
    return;
  }
  chart ??= new LuckChart(byId("luck-body"));
  chart.show(rounds);
}

// --- the history -------------------------------------------------------------------------------------------

let page = 0;
const span = new TimeSpan("older", "week", changed);
const again = lookUp(() => `api/v1/history/blocks?${span.query}&offset=${page * PAGE}&limit=${PAGE}`, 30000, showHistory);

function showHistory(value, status) {
  const problem = historyProblem(value, status);
  byId("older-csv").hidden = problem !== null;
  older.show((problem === null ? value.blocks : []).map(olderRow), make("span", {}, problem ?? "No block in this time."));
  setText(byId("older-count"), problem === null ? integer(value.total) : "");
  showPages(byId("older-pages"), page, problem === null ? Math.ceil(value.total / PAGE) : 1, (wanted) => {
    page = wanted;
    again();
  });
}

/** Another time was chosen. */
function changed() {
  page = 0;
  sayWhere();
  again();
}

function sayWhere() {
  byId("older-csv").href = `../api/v1/history/blocks.csv?${span.query}`;
}

sayWhere();

// --- all of it ---------------------------------------------------------------------------------------------

startPage({
  views: ["recent_blocks", "api/v1/luck", "api/v1/pool"],
  show(values) {
    const [blocks, luck, pool] = ["recent_blocks", "api/v1/luck", "api/v1/pool"].map((view) => values.get(view));
    if (pool !== undefined && pool.symbol !== symbol) {
      symbol = pool.symbol;
      older.show(older.items);
    }
    if (blocks !== undefined) {
      newest.show(blocks.map(newestRow), make("span", {}, "No block yet. A block is a share that is also good enough for the Dash chain."));
    }
    if (luck !== undefined) showLuck(luck);
  },
  news(event) {
    if (event.event === "block") setText(byId("said"), `Block ${event.number}: ${event.status}.`);
  },
});
