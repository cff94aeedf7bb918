// Asking the node, and its clock.

export const BASE = new URL("../../", import.meta.url);
const FETCH_TIMEOUT = 8000;

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

/** The answer's status and its JSON (also that of a refusal); null where it is none. Throws as `ask` does. */
export async function askJson(path) {
  const { status, text } = await ask(path);
  try {
    return { status, value: JSON.parse(text) };
  } catch {
    return { status, value: null };
  }
}

/** Why there is no answer out of the history, as a sentence; null where there is one. */
export function historyProblem(value, status) {
  if (status === 200) return null;
  const told = value?.error?.message;
  if (typeof told !== "string") return `The history cannot be read now: the node answered with status ${status}.`;
  if (!/history/i.test(told)) return `The history cannot be read now: ${told}.`;
  return `${told[0].toUpperCase()}${told.slice(1)}.`;
}
