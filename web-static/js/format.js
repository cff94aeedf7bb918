// Formats figures as text, in the reader's locale. Pure functions: they need no page.

import { language, lazily, locale, plural, t } from "./language.js";

const numbers = new Map();

function formatter(options) {
  const key = JSON.stringify(options);
  if (!numbers.has(key)) numbers.set(key, new Intl.NumberFormat(locale, options));
  return numbers.get(key);
}

export const known = (value) => typeof value === "number" && Number.isFinite(value);

export const integer = (value) => (known(value) ? formatter({ maximumFractionDigits: 0 }).format(value) : "–");

export function significant(value, digits = 4) {
  return known(value) ? formatter({ maximumSignificantDigits: digits }).format(value) : "–";
}

/** Return a value with exactly so many digits after the decimal separator, and no others. */
export const fixed = (value, digits) => formatter({ minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }).format(value);

const decimal = lazily(() => formatter({ minimumFractionDigits: 1 }).formatToParts(1).find(({ type }) => type === "decimal")?.value ?? ".");

/** Return coins that the node reports as an exact decimal number, such as "0.12345678". */
export const exact = (dash) => String(dash).replace(".", decimal());

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];

function withPrefix(value, unit) {
  if (!known(value)) return "–";
  let step = 0;
  while (value >= 999.5 && step < PREFIXES.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const shown = step === 0 ? significant(value, 3) : fixed(value, digits);
  return `${shown}\u00a0${PREFIXES[step]}${unit}`;
}

/** Return bytes as text, in powers of 1000. */
export const bytes = (value) => withPrefix(value, "B");

export const hashRate = (value) => withPrefix(value, "H/s");

/** Return seconds in milliseconds. */
export const milliseconds = (seconds) => t`${significant(seconds * 1000, 3)}\u00a0ms`;

/** Return an estimated hash rate, or the range in which it is while that is wide. */
export function estimatedRate({ hash_rate: rate, hash_rate_low: low, hash_rate_high: high, estimating }) {
  if (!estimating) return hashRate(rate);
  return rate > 0 ? t`${hashRate(low)} to ${hashRate(high)}` : t`below ${hashRate(high)}`;
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
  if (value > 0 && value < 0.1) return formatter({ style: "percent", maximumSignificantDigits: 1 }).format(part);
  return formatter({ style: "percent", maximumFractionDigits: digits }).format(part);
}

export const coins = (value) => (known(value) ? fixed(value, 8) : "–");

/** Return a BigInt of duffs as exact coins. */
export const duffs = (value) => exact(`${value / 100000000n}.${(value % 100000000n).toString().padStart(8, "0")}`);

/**
 * Units of time: seconds, and words. The short forms of Intl are long in English ("3 days"), and end with a dot in German
 * and Russian, as sentences do.
 * @type {[number, (value: number) => string][]}
 */
const UNITS = [
  [31557600, (value) => plural(value, "{0}\u00a0y", "{0}\u00a0y")],
  [86400, (value) => t`${integer(value)}\u00a0d`],
  [3600, (value) => t`${integer(value)}\u00a0h`],
  [60, (value) => t`${integer(value)}\u00a0min`],
  [1, (value) => t`${integer(value)}\u00a0s`],
];

/** Return seconds as "3 d 4 h": the two largest units; "40 s" below a minute. */
export function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds > 1000 * 31557600) return t("over 1,000 years");
  if (seconds < 1) return t("under 1\u00a0s");
  const at = UNITS.findIndex(([size]) => seconds >= size);
  const [size, words] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const first = words(whole);
  if (at === UNITS.length - 1) return first;
  const [nextSize, nextWords] = UNITS[at + 1];
  const rest = Math.floor((seconds - whole * size) / nextSize);
  if (rest === 0 || (size === 60 && whole >= 10)) return first;
  return `${first} ${nextWords(rest)}`;
}

export function ago(seconds) {
  if (seconds < 2) return t("now");
  const [size, words] = UNITS.find(([each]) => seconds >= each) ?? UNITS[4];
  return t`${words(Math.floor(seconds / size))} ago`;
}

// English readers disagree on the order of day and month; the Swedish format is "2026-11-22 12:21:27 UTC".
const dateLocale = language === "en" ? "sv-SE" : locale;
const dates = (options) => new Intl.DateTimeFormat(dateLocale, options);
/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
const clock = lazily(() => dates({ year: "numeric", month: "2-digit", day: "2-digit", ...TIME }));
const timeOnly = lazily(() => dates(TIME));

/** The name of the reader's time zone, such as "CET". */
export const zone = lazily(() => timeOnly().formatToParts(new Date()).find(({ type }) => type === "timeZoneName")?.value ?? "");

export const absoluteTime = (unix) => clock().format(new Date(unix * 1000));
export const clockTime = (unix) => timeOnly().format(new Date(unix * 1000));

/** Return a function that returns Unix seconds as a text that tells times between these two apart. */
export function timesOf(first, last) {
  const [hour, minute, second] = ["2-digit", "2-digit", "2-digit"];
  const day = last - first < 18 * 3600 ? {} : { month: "2-digit", day: "2-digit" };
  const format = dates(/** @type {any} */ (last - first < 3600 ? { hour, minute, second } : { ...day, hour, minute }));
  return (unix) => format.format(new Date(unix * 1000));
}

/** Return texts as "one, another, a third". */
export const listed = (texts) => texts.slice(1).reduce((all, text) => t`${all}, ${text}`, texts[0] ?? "");

/** Return "Rejected: too late". */
export const labelled = (label, text) => t`${label}: ${text}`;

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
