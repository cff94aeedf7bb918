// What all pages share: fetching, formats, small DOM helpers. Server text goes into the page as text only.

export const BASE = new URL("../", import.meta.url);
const FETCH_TIMEOUT = 8000;

// --- fetching ----------------------------------------------------------------------------------------------

/** The answer's status and text; throws where there was none. */
export async function ask(path) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), FETCH_TIMEOUT);
  try {
    const response = await fetch(new URL(path, BASE), { cache: "no-store", signal: stop.signal });
    const text = await response.text();
    noteServerTime(response.headers.get("Date"));
    return { status: response.status, text };
  } finally {
    clearTimeout(timer);
  }
}

/** Parses JSON; integers beyond 15 digits become strings, so that none is rounded. */
export function parseExact(text) {
  const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  return JSON.parse(text.replace(tokens, (token) => (/^-?\d{16,}$/.test(token) ? `"${token}"` : token)));
}

let clockOffset = 0;

function noteServerTime(header) {
  const at = header === null ? NaN : Date.parse(header);
  if (!Number.isNaN(at)) noteNodeTime(at / 1000);
}

/** Takes note of the node's clock, Unix seconds. */
export function noteNodeTime(at) {
  const offset = at - Date.now() / 1000;
  clockOffset = Math.abs(offset) > 3 ? offset : 0;
}

/** The node's clock, Unix seconds. */
export const nodeNow = () => Date.now() / 1000 + clockOffset;

// --- formats -----------------------------------------------------------------------------------------------

const numbers = new Map();

function formatter(options) {
  const key = JSON.stringify(options);
  if (!numbers.has(key)) numbers.set(key, new Intl.NumberFormat("en", options));
  return numbers.get(key);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const integer = (value) => (known(value) ? formatter({ maximumFractionDigits: 0 }).format(value) : "–");

export function significant(value, digits = 4) {
  return known(value) ? formatter({ maximumSignificantDigits: digits }).format(value) : "–";
}

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];

function withPrefix(value, unit) {
  if (!known(value)) return "–";
  let step = 0;
  while (value >= 999.5 && step < PREFIXES.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const shown = step === 0 ? significant(value, 3) : value.toFixed(digits);
  return `${shown}\u00a0${PREFIXES[step]}${unit}`;
}

export const hashRate = (value) => withPrefix(value, "H/s");

export function difficulty(value) {
  if (!known(value)) return "–";
  if (value >= 1e6) return withPrefix(value, "").trim();
  return significant(value, 4);
}

export function percent(part, digits = 1) {
  if (!known(part)) return "–";
  const value = part * 100;
  if (value > 0 && value < 0.1) return `${significant(value, 1)}%`;
  return `${formatter({ maximumFractionDigits: digits }).format(value)}%`;
}

export const coins = (value) => (known(value) ? value.toFixed(8) : "–");

/** Exact coins out of a BigInt of duffs. */
export const duffs = (value) => `${value / 100000000n}.${(value % 100000000n).toString().padStart(8, "0")}`;

const UNITS = [
  [31557600, "y"],
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Seconds as "3 d 4 h": the two largest units; "40 s" below a minute. */
export function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds > 1000 * 31557600) return "over 1,000 years";
  if (seconds < 1) return "under 1\u00a0s";
  const at = UNITS.findIndex(([size]) => seconds >= size);
  const [size, name] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const first = `${integer(whole)}\u00a0${name}`;
  if (at === UNITS.length - 1) return first;
  const [nextSize, nextName] = UNITS[at + 1];
  const rest = Math.floor((seconds - whole * size) / nextSize);
  if (rest === 0 || (name === "min" && whole >= 10)) return first;
  return `${first} ${rest}\u00a0${nextName}`;
}

function ago(seconds) {
  if (seconds < 2) return "now";
  const [size, name] = UNITS.find(([unit]) => seconds >= unit);
  return `${Math.floor(seconds / size)}\u00a0${name} ago`;
}

// Swedish dates are "2026-11-22 12:21:27 UTC": the same for everyone, in the reader's own time zone.
const clock = new Intl.DateTimeFormat("sv-SE", {
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});
const timeOnly = new Intl.DateTimeFormat("sv-SE", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

export const absoluteTime = (unix) => clock.format(new Date(unix * 1000));
export const clockTime = (unix) => timeOnly.format(new Date(unix * 1000));

/** "00000321…4ffc8bb5"; short texts stay whole. */
export function shortened(text, head = 6, tail = 6) {
  return text.length <= head + tail + 2 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}

/** A hash's end, as the node's log shows it: all hashes begin with zeros. */
export const shortHash = (hash) => `…${hash.slice(-8)}`;

/** An address with a worker's name behind it: only the address is shortened. */
export function shortWorker(name) {
  const dot = name.indexOf(".");
  const address = dot < 0 ? name : name.slice(0, dot);
  const rest = dot < 0 ? "" : name.slice(dot);
  return shortened(address, 5, 4) + shortened(rest, 12, 6);
}

export const isHash = (text) => typeof text === "string" && /^[0-9a-f]{64}$/i.test(text);

// --- DOM ---------------------------------------------------------------------------------------------------

export const byId = (id) => document.getElementById(id);

/** Sets a node's text where it differs, so that a selection survives the next poll. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** make("td", {class: "x", title: "y"}, "text", otherNode, ...). Attributes and text only, never markup. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function timeNode(unix) {
  const node = make("time");
  setTime(node, unix);
  return node;
}

export function setTime(node, unix) {
  if (!known(unix)) {
    setText(node, "–");
    return;
  }
  if (node.dataset.unix !== String(unix)) {
    node.dataset.unix = String(unix);
    node.dateTime = new Date(unix * 1000).toISOString();
    node.title = absoluteTime(unix);
  }
  setText(node, ago(nodeNow() - unix));
}

/** Brings every relative time on the page up to date. */
export function refreshTimes() {
  const now = nodeNow();
  for (const node of document.querySelectorAll("time[data-unix]")) setText(node, ago(now - Number(node.dataset.unix)));
}

export function shareLink(hash, text = shortHash(hash)) {
  return make("a", { href: `share.html?hash=${encodeURIComponent(hash)}`, title: hash, class: "mono" }, text);
}

/** A text that may be long, in its full and its short form; the style sheet shows the one that fits. */
export function longShort(full, short) {
  if (full === short) return make("span", { class: "mono" }, full);
  return make(
    "span",
    { class: "mono", title: full },
    make("span", { class: "is-long" }, full),
    make("span", { class: "is-short" }, short),
  );
}

/** A shortened value that a click copies in full. */
export function copyValue(full, short, what) {
  const button = make(
    "button",
    { type: "button", class: "copy mono", title: `${full}\n(click to copy)`, "aria-label": `Copy ${what} ${full}` },
    short,
  );
  button.addEventListener("click", () => copy(full, button));
  return button;
}

/** A button "Copy" for a full text shown beside it. */
export function copyButton(text, what) {
  const button = make("button", { type: "button", class: "small" }, "Copy", make("span", { class: "unseen" }, ` ${what}`));
  button.addEventListener("click", () => copy(text, button));
  return button;
}

/** Copies and says so on the button. Works without a secure context too, as nodes are often on plain http. */
export async function copy(text, button) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = make("textarea", { class: "unseen", readonly: "", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.classList.add(done ? "copied" : "not-copied");
  setTimeout(() => button.classList.remove("copied", "not-copied"), 1200);
  const said = byId("said");
  if (said !== null) said.textContent = done ? "Copied." : "Copying failed.";
}

// --- connection --------------------------------------------------------------------------------------------

/** The banner's parts: shown and announced only when they change. */
export function setBanner(id, kind, text) {
  const holder = byId("banner");
  let node = byId(id);
  if (text === null) {
    node?.remove();
    return;
  }
  if (node === null) {
    node = make("p", { id, class: `notice ${kind}` });
    if (kind === "offline") holder.prepend(node);
    else holder.append(node);
  }
  setText(node, text);
}

/** Shows which network this is; anything but the main one gets a word of explanation. */
export function showNetwork(name) {
  const tag = byId("network");
  if (typeof name !== "string" || tag === null) return;
  const main = name === "dash";
  tag.hidden = false;
  tag.title = main ? "The main Dash network" : "Not the main network: its coins are worth nothing";
  setText(tag, main ? "Dash mainnet" : `${name}: test coins`);
}

/** Calls `work` now and `period` ms after each end, only while the tab is visible. */
export function whileVisible(work, period) {
  let timer = null;
  let running = false;
  const turn = async () => {
    timer = null;
    if (running || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
      if (!document.hidden) timer = setTimeout(turn, period);
    }
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = null;
    if (!document.hidden) turn();
  });
  turn();
}
