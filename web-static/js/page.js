// How a page is made: one call of `startPage`, and one of `lookUp` for each thing that is no view. See README.md.

import { ask, askJson, nodeNow } from "./api.js";
import { byId, refreshTimes, setBanner, setText } from "./dom.js";
import { clockTime } from "./format.js";
import { follow } from "./live.js";
import { buildShell, showNetwork } from "./shell.js";

/** Every page follows it: the network's name, warnings and the version stand on all of them. */
const NODE = "api/v1/node";
const PERIOD = 2000;

/**
 * Builds what stands around the page, and keeps it up to date while its tab is visible.
 *
 * views: names of views (the keys of p2pool/web/views.py, such as "api/v1/pool"); show(values): called with a Map of
 * those that are known (some may be missing, and "api/v1/node" is always meant), at first and whenever one changed;
 * news(event): something happened, as the node tells it over the WebSocket; period: ms between two questions while
 * there is none. "No connection", "starting" and warnings need no care of the page.
 */
export function startPage({ views = [], show = () => {}, news = () => {}, period = PERIOD }) {
  buildShell();
  const all = [...new Set([NODE, ...views])];
  let lastGood = null;
  let failingSince = null;

  async function poll() {
    // While nothing answers, one question is enough to find out when it does again.
    if (failingSince !== null) {
      try {
        await ask(all[0]);
      } catch {
        refreshTimes();
        return;
      }
    }
    const settled = await Promise.allSettled(all.map(askJson));
    if (settled.every(({ status }) => status === "rejected")) {
      showNoConnection();
      return;
    }
    const known = all.map((view, i) => [view, settled[i].value]).filter(([, answer]) => answer?.status === 200);
    showValues(new Map(known.map(([view, answer]) => [view, answer.value])), "polling");
  }

  function showNoConnection() {
    failingSince ??= lastGood ?? Date.now() / 1000;
    setBanner(
      "offline",
      "offline",
      `No connection to the node since ${clockTime(failingSince)}. Trying again; the figures below are from then.`,
    );
    document.body.classList.add("stale");
    showState("No connection", "offline");
    refreshTimes();
  }

  function showValues(values, state) {
    failingSince = null;
    lastGood = Date.now() / 1000;
    setBanner("offline", "offline", null);
    document.body.classList.remove("stale");
    showState(`Live, ${clockTime(nodeNow())}`, state);
    const node = values.get(NODE);
    const starting = node === undefined ? "The node is starting; its figures follow in a moment." : null;
    setBanner("starting", "offline", starting);
    if (node !== undefined) showNode(node);
    show(values);
    refreshTimes();
  }

  /** What a reader who does not see the page would miss; the rest shows itself within a second. */
  function tell(event) {
    if (event.event === "alert" && !event.over) setText(byId("said"), `Warning: ${event.text}`);
    news(event);
  }

  follow({ views: all, show: (values) => showValues(values, "live"), news: tell, poll, period });
}

const WAYS = { live: "By WebSocket", polling: "By asking every other second: the WebSocket is blocked or not up yet" };

function showState(text, state) {
  const live = byId("live");
  setText(live, text);
  live.dataset.state = state;
  live.title = WAYS[state] ?? "";
}

function showNode({ network, version, warnings }) {
  showNetwork(network);
  setText(byId("foot-version"), version);
  warnings.forEach((text, i) => setBanner(`warning-${i}`, "warning", `Warning: ${text}`));
  for (const node of [...byId("banner").children]) {
    if (node.id.startsWith("warning-") && Number(node.id.slice(8)) >= warnings.length) node.remove();
  }
}

/**
 * Asks for what is no view (a look-up with parameters), now and `period` ms after each answer, while the tab is
 * visible. path: a text, or a function that makes one (null: do not ask now); show(value, status): also of a refusal,
 * whose value is {"error": {"code", "message"}} or null; not called while nothing answers. Returns a function that
 * asks anew at once, for when the path has changed: an answer to the path before is not shown any more.
 */
export function lookUp(path, period, show) {
  let number = 0;
  const look = async () => {
    const wanted = typeof path === "function" ? path() : path;
    if (wanted === null) return;
    const mine = ++number;
    let answer;
    try {
      answer = await askJson(wanted);
    } catch {
      return; // the page says that the node is gone
    }
    if (mine !== number) return;
    show(answer.value, answer.status);
    refreshTimes();
  };
  return whileVisible(look, period);
}

/** Calls `work` now and `period` ms after each end, while the tab is visible. Returns a function: call it now. */
export function whileVisible(work, period) {
  let timer = null;
  let turns = 0;
  const turn = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    const mine = ++turns;
    try {
      await work();
    } finally {
      if (mine === turns && !document.hidden) timer = setTimeout(turn, period);
    }
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) turn();
  });
  turn();
  return turn;
}
