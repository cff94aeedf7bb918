// Live views of the node: over a WebSocket, or by polling if that is blocked.

import { BASE, setNodeTime } from "./api.js";

const FIRST_DELAY = 2000;
const MAX_DELAY = 60000;
const OPEN_TIMEOUT = 5000;
/** The node sends something every second; after so many ms without anything the connection counts as lost. */
const SILENCE_TIMEOUT = 15000;

// --- patches -----------------------------------------------------------------------------------------------

/** Return `old` with a patch applied, changing `old`; p2pool/web/live_patch.py defines the patches. */
export function applyPatch(old, patch) {
  if (Object.hasOwn(patch, "value")) return patch.value;
  if (Object.hasOwn(patch, "keep")) return [...patch.first, ...old.slice(0, patch.keep)];
  for (const key of patch.gone ?? []) delete old[key];
  for (const [key, value] of Object.entries(patch.set ?? {})) put(old, key, value);
  for (const [key, inner] of Object.entries(patch.in ?? {})) put(old, key, applyPatch(old[key], inner));
  return old;
}

/** Set a property as JSON.parse does: keys may be worker names, and "__proto__" is one like any other. */
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
 * Keep a page up to date while its tab is visible.
 *
 * `views` are names of views; `show(values)` is called with a Map of the known ones, at first and after each change;
 * `onEvent(event)` is called for each event; `poll()` fetches everything once, and is called every `period` ms while the
 * WebSocket is down. While `stays()` is true, a hidden tab stays connected too.
 */
export function follow({ views, show, onEvent, poll, period, stays = () => false }) {
  let values = new Map();
  /** @type {?WebSocket} */
  let socket = null;
  let isLive = false;
  let delay = FIRST_DELAY;
  let retryTimer = 0;
  let silenceTimer = 0;
  let pollTimer = 0;
  let isPolling = false;

  function connect() {
    let mine;
    try {
      mine = new WebSocket(address(views));
    } catch {
      lost(); // blocked by a policy
      return;
    }
    socket = mine;
    restartWatchdog(OPEN_TIMEOUT);
    mine.onmessage = ({ data }) => {
      if (socket !== mine) return;
      restartWatchdog(SILENCE_TIMEOUT);
      try {
        receive(JSON.parse(data));
      } catch (error) {
        // The state is unknown from here: reconnect and start with a new snapshot.
        console.error("live updates:", error);
        lost();
      }
    };
    mine.onclose = () => {
      if (socket === mine) lost();
    };
  }

  function receive(message) {
    if (typeof message.time === "number") setNodeTime(message.time);
    if (message.type === "snapshot") {
      values = new Map(Object.entries(message.views));
      isLive = true;
      delay = FIRST_DELAY;
      clearTimeout(pollTimer);
      show(values);
    } else if (message.type === "changes") {
      for (const [view, patch] of Object.entries(message.views)) values.set(view, applyPatch(values.get(view), patch));
      show(values);
    } else if (message.type === "event") {
      onEvent(message);
    }
  }

  function restartWatchdog(timeout) {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(lost, timeout);
  }

  function lost() {
    disconnect();
    retryLater();
    pollNow(); // shows whether the node is down or only the WebSocket is blocked
  }

  function disconnect() {
    clearTimeout(silenceTimer);
    clearTimeout(retryTimer);
    isLive = false;
    const old = socket;
    socket = null;
    old?.close();
  }

  function retryLater() {
    // Jitter: after a restart of the node, its pages must not all reconnect at the same moment.
    retryTimer = setTimeout(connect, delay * (0.5 + Math.random()));
    delay = Math.min(2 * delay, MAX_DELAY);
  }

  /** Poll now, and again after each period, while the WebSocket is down. */
  async function pollNow() {
    clearTimeout(pollTimer);
    if (isPolling || isLive || document.hidden) return;
    isPolling = true;
    try {
      await poll();
    } finally {
      isPolling = false;
      clearTimeout(pollTimer);
      if (!isLive && !document.hidden) pollTimer = setTimeout(pollNow, period);
    }
  }

  function start() {
    connect();
    // Poll only if the WebSocket has not answered by then: a live page fetches nothing.
    pollTimer = setTimeout(pollNow, Math.min(period, 1000));
  }

  document.addEventListener("visibilitychange", () => {
    if (isLive && stays()) return;
    clearTimeout(pollTimer);
    disconnect();
    delay = FIRST_DELAY;
    if (!document.hidden) start();
  });
  if (!document.hidden) start();
}
