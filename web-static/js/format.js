// Formats figures as text. Pure functions: they need no page.

const numbers = new Map();

function formatter(options) {
  const key = JSON.stringify(options);
  if (!numbers.has(key)) numbers.set(key, new Intl.NumberFormat("en", options));
  return numbers.get(key);
}

export const known = (value) => typeof value === "number" && Number.isFinite(value);

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

/** Return bytes as text, in powers of 1000. */
export const bytes = (value) => withPrefix(value, "B");

export const hashRate = (value) => withPrefix(value, "H/s");

/** Return an estimated hash rate, or the range in which it is while that is wide. */
export function estimatedRate({ hash_rate: rate, hash_rate_low: low, hash_rate_high: high, estimating }) {
  if (!estimating) return hashRate(rate);
  return rate > 0 ? `${hashRate(low)} to ${hashRate(high)}` : `below ${hashRate(high)}`;
}

/** Return an estimated hash rate for where a range has no room: with "~" while that is wide. */
export function roughRate({ hash_rate: rate, hash_rate_high: high, estimating }) {
  if (!estimating) return hashRate(rate);
  return rate > 0 ? `~${hashRate(rate)}` : `< ${hashRate(high)}`;
}

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

/** Return a BigInt of duffs as exact coins. */
export const duffs = (value) => `${value / 100000000n}.${(value % 100000000n).toString().padStart(8, "0")}`;

/** @type {[number, string][]} */
const UNITS = [
  [31557600, "y"],
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Return seconds as "3 d 4 h": the two largest units; "40 s" below a minute. */
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

export function ago(seconds) {
  if (seconds < 2) return "now";
  const [size, name] = /** @type {[number, string]} */ (UNITS.find(([unit]) => seconds >= unit));
  return `${Math.floor(seconds / size)}\u00a0${name} ago`;
}

// The Swedish format is "2026-11-22 12:21:27 UTC": unambiguous, and in the reader's time zone.
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

/** Return "00000321…4ffc8bb5"; short texts stay whole. */
export function shortened(text, head = 6, tail = 6) {
  return text.length <= head + tail + 2 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}

/** Return the end of a hash, as the log of the node shows it: all hashes begin with zeros. */
export const shortHash = (hash) => `…${hash.slice(-8)}`;

/** Return "ADDRESS.worker" shortened, the address more than the worker name. */
export function shortWorker(name) {
  const dot = name.indexOf(".");
  const address = dot < 0 ? name : name.slice(0, dot);
  const rest = dot < 0 ? "" : name.slice(dot);
  return shortened(address, 5, 4) + shortened(rest, 12, 6);
}

export const isHash = (text) => typeof text === "string" && /^[0-9a-f]{64}$/i.test(text);

/** Return HOST:PORT, with an IPv6 address in brackets. */
export const hostAndPort = (host, port) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
