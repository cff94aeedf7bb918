// Views of the node, live: over a WebSocket where that works, else by asking again and again.

import { BASE, noteNodeTime } from "./api.js";

const FIRST_DELAY = 2000;
const LONGEST_DELAY = 60000;
const OPEN_TIME = 5000;
/** The node tells of something every second; after this silence (ms) it is not there. */
const SILENCE = 15000;

// --- patches -----------------------------------------------------------------------------------------------

/** What `old` becomes by a patch; the forms of patches stand in p2pool/web/live_patch.py. Changes `old`. */
export function patched(old, patch) {
  if (Object.hasOwn(patch, "value")) return patch.value;
  if (Object.hasOwn(patch, "keep")) return [...patch.first, ...old.slice(0, patch.keep)];
  for (const key of patch.gone ?? []) delete old[key];
  for (const [key, value] of Object.entries(patch.set ?? {})) put(old, key, value);
  for (const [key, inner] of Object.entries(patch.in ?? {})) put(old, key, patched(old[key], inner));
  return old;
}

/** Keys are names of workers, among others: "__proto__" is one like any other, as JSON.parse has it. */
function put(object, key, value) {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

// --- the connection ----------------------------------------------------------------------------------------

function address(views) {
  const url = new URL("ws", BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = `views=${views.join(",")}`;
  return url;
}

/**
 * Keeps a page up to date while its tab is visible.
 *
 * views: names; show(values): called with a Map of those that are known, the first time and whenever one changed;
 * news(event): something happened; poll(): asks for everything once, and is called every `period` ms while there is
 * no connection.
 */
export function follow({ views, show, news, poll, period }) {
  let values = new Map();
  let socket = null;
  let isLive = false;
  let delay = FIRST_DELAY;
  let retryTimer = null;
  let silenceTimer = null;
  let pollTimer = null;
  let isPolling = false;

  function connect() {
    retryTimer = null;
    try {
      socket = new WebSocket(address(views));
    } catch {
      lost(); // blocked by a policy
      return;
    }
    const mine = socket;
    heard(OPEN_TIME);
    mine.onmessage = ({ data }) => {
      if (socket !== mine) return;
      heard(SILENCE);
      try {
        receive(JSON.parse(data));
      } catch (error) {
        // Nothing that a page can go on from: begin anew with a snapshot.
        console.error("live updates:", error);
        lost();
      }
    };
    mine.onclose = () => {
      if (socket === mine) lost();
    };
  }

  function receive(message) {
    if (typeof message.time === "number") noteNodeTime(message.time);
    if (message.type === "snapshot") {
      values = new Map(Object.entries(message.views));
      isLive = true;
      delay = FIRST_DELAY;
      clearTimeout(pollTimer);
      show(values);
    } else if (message.type === "changes") {
      for (const [view, patch] of Object.entries(message.views)) values.set(view, patched(values.get(view), patch));
      show(values);
    } else if (message.type === "event") {
      news(message);
    }
  }

  function heard(patience) {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(lost, patience);
  }

  function lost() {
    drop();
    retryLater();
    turn(); // at once: it shows whether the node is gone, or only the way to it blocked
  }

  function drop() {
    clearTimeout(silenceTimer);
    clearTimeout(retryTimer);
    isLive = false;
    const old = socket;
    socket = null;
    old?.close();
  }

  function retryLater() {
    // Jitter: after a restart of the node its pages must not all come back at the same moment.
    retryTimer = setTimeout(connect, delay * (0.5 + Math.random()));
    delay = Math.min(2 * delay, LONGEST_DELAY);
  }

  /** Asks for everything, and again after the period, while there is no connection. */
  async function turn() {
    clearTimeout(pollTimer);
    if (isPolling || isLive || document.hidden) return;
    isPolling = true;
    try {
      await poll();
    } finally {
      isPolling = false;
      clearTimeout(pollTimer);
      if (!isLive && !document.hidden) pollTimer = setTimeout(turn, period);
    }
  }

  function start() {
    connect();
    // Only where there is no answer by then: a page that goes live asks for nothing.
    pollTimer = setTimeout(turn, Math.min(period, 1000));
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(pollTimer);
    drop();
    delay = FIRST_DELAY;
    if (!document.hidden) start();
  });
  if (!document.hidden) start();
}
