// The frame of a page: one call of `startPage`, and one of `pollPath` for each resource that is not a view. See README.md.

import { fetchText, fetchJson, nodeNow } from "./api.js";
import { byId, refreshTimes, setBanner, setText } from "./dom.js";
import { clockTime } from "./format.js";
import { t } from "./language.js";
import { follow } from "./live.js";
import { notify, wantsNews } from "./notify.js";
import { buildShell, showNetwork } from "./shell.js";

/** Every page follows this view: all of them show the network, the warnings and the version. */
const NODE = "api/v1/node";
const PERIOD = 2000;

/**
 * Build the header and footer of the page, and keep it up to date while its tab is visible.
 *
 * `views` are names of views (the keys of p2pool/web/views.py, such as "api/v1/pool"); `show(values)` is called with a
 * Map of the known ones (some may be missing; "api/v1/node" is always followed), at first and after each change;
 * `onEvent(event)` is called for each event from the WebSocket; `period` is the polling interval in ms while the WebSocket
 * is down. "No connection", "starting" and warnings are shown without help of the page.
 *
 * @param {{ views?: string[], show?: (values: Map<string, any>) => void, onEvent?: (event: any) => void, period?: number }} options
 */
export function startPage({ views = [], show = () => {}, onEvent = () => {}, period = PERIOD }) {
  buildShell();
  const all = [...new Set([NODE, ...views])];
  /** @type {?number} */
  let lastGood = null;
  /** @type {?number} */
  let failingSince = null;

  async function poll() {
    // While the node does not answer, one request is enough to find out when it does again.
    if (failingSince !== null) {
      try {
        await fetchText(all[0]);
      } catch {
        refreshTimes();
        return;
      }
    }
    const settled = await Promise.allSettled(all.map(fetchJson));
    if (settled.every(({ status }) => status === "rejected")) {
      showNoConnection();
      return;
    }
    const answers = settled.map((each) => (each.status === "fulfilled" ? each.value : null));
    const values = new Map();
    answers.forEach((answer, i) => {
      if (answer?.status === 200) values.set(all[i], answer.value);
    });
    showValues(values, "polling");
  }

  function showNoConnection() {
    failingSince ??= lastGood ?? Date.now() / 1000;
    setBanner(
      "offline",
      "offline",
      t`No connection to the node since ${clockTime(failingSince)}. Reconnecting; the figures below are out of date.`,
    );
    document.body.classList.add("stale");
    showState(t("No connection"), "offline");
    refreshTimes();
  }

  function showValues(values, state) {
    failingSince = null;
    lastGood = Date.now() / 1000;
    setBanner("offline", "offline", null);
    document.body.classList.remove("stale");
    showState(t`Live, ${clockTime(nodeNow())}`, state);
    const node = values.get(NODE);
    const starting = node === undefined ? t("The node is starting; figures will appear in a moment.") : null;
    setBanner("starting", "offline", starting);
    if (node !== undefined) showNode(node);
    show(values);
    refreshTimes();
  }

  /** Announce new warnings to screen readers, notify the reader at its wish, and pass the event on. */
  function announce(event) {
    notify(event);
    if (event.event === "alert" && !event.over) setText(byId("said"), t`Warning: ${event.text}`);
    onEvent(event);
  }

  follow({ views: all, show: (values) => showValues(values, "live"), onEvent: announce, poll, period, stays: wantsNews });
}

const STATE_HINTS = { live: t("Updated over a WebSocket"), polling: t("Updated by polling: the WebSocket is blocked or not connected yet") };

function showState(text, state) {
  const live = byId("live");
  setText(live, text);
  live.dataset.state = state;
  live.title = STATE_HINTS[state] ?? "";
}

function showNode({ network, version, warnings }) {
  showNetwork(network);
  setText(byId("foot-version"), version);
  warnings.forEach((text, i) => setBanner(`warning-${i}`, "warning", t`Warning: ${text}`));
  for (const node of [...byId("banner").children]) {
    if (node.id.startsWith("warning-") && Number(node.id.slice(8)) >= warnings.length) node.remove();
  }
}

/**
 * Fetch a resource that is not a view, now and `period` ms after each answer, while the tab is visible.
 *
 * `path` is a text or a function that returns one (null: do not fetch now). `show(value, status)` is also called for
 * errors, with {"error": {"code", "message"}} or null; it is not called while the node does not answer. Return a
 * function that fetches at once, for when the path has changed: answers to the previous path are dropped.
 */
export function pollPath(path, period, show) {
  let number = 0;
  const poll = async () => {
    const wanted = typeof path === "function" ? path() : path;
    if (wanted === null) return;
    const mine = ++number;
    let answer;
    try {
      answer = await fetchJson(wanted);
    } catch {
      return; // the banner says that the node does not answer
    }
    if (mine !== number) return;
    show(answer.value, answer.status);
    refreshTimes();
  };
  return whileVisible(poll, period);
}

/** Call `work` now and `period` ms after it ends, while the tab is visible. Return a function that calls it at once. */
export function whileVisible(work, period) {
  let timer = 0;
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
