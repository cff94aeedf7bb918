// Requests to the node, and the node's clock.

import { t, told } from "./language.js";

export const BASE = new URL("../../", import.meta.url);
const FETCH_TIMEOUT = 8000;

/** Return the status and text of the node's answer to a GET; throw if there is none. */
export async function fetchText(path) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), FETCH_TIMEOUT);
  try {
    const response = await fetch(new URL(path, BASE), { cache: "no-store", signal: stop.signal });
    const text = await response.text();
    readServerTime(response.headers.get("Date"));
    return { status: response.status, text };
  } finally {
    clearTimeout(timer);
  }
}

/** Parse JSON; integers of more than 15 digits become strings, so that none is rounded. */
export function parseExact(text) {
  const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  return JSON.parse(text.replace(tokens, (token) => (/^-?\d{16,}$/.test(token) ? `"${token}"` : token)));
}

let clockOffset = 0;

function readServerTime(header) {
  const at = header === null ? NaN : Date.parse(header);
  if (!Number.isNaN(at)) setNodeTime(at / 1000);
}

/** Set the node's clock, in Unix seconds. */
export function setNodeTime(at) {
  const offset = at - Date.now() / 1000;
  clockOffset = Math.abs(offset) > 3 ? offset : 0;
}

/** Return the time by the node's clock, in Unix seconds. */
export const nodeNow = () => Date.now() / 1000 + clockOffset;

/** Return the status and JSON of an answer, also of an error; the value is null if it is not JSON. Throw as `fetchText` does. */
export async function fetchJson(path) {
  const { status, text } = await fetchText(path);
  try {
    return { status, value: JSON.parse(text) };
  } catch {
    return { status, value: null };
  }
}

/** Return a sentence that says why the history gave no answer, or null if it did. */
export function historyProblem(value, status) {
  if (status === 200) return null;
  const message = value?.error?.message;
  if (typeof message !== "string") return t`History is unavailable: the node answered with status ${status}.`;
  if (!/history/i.test(message)) return t`History is unavailable: ${told(message)}.`;
  const words = told(message);
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}
