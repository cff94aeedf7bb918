// Notifications and sounds of this browser, if the reader wants them: a block was found, or "my miner" went silent.
// They come while a page of this node is open, also in the background.

import { make } from "./dom.js";
import { t } from "./language.js";
import { rememberedMiner } from "./mine.js";

/** The key in localStorage: the wishes, separated by commas. */
const KEY = "notify";
const WISHES = [
  ["block", t("A block was found")],
  ["silent", t("My miner went silent, or is back")],
  ["sound", t("With a sound")],
];
const ICON = "icon-192.png";

/** @type {?AudioContext} */
let audio = null;

/** Return what the reader wants to be told of: a Set of "block", "silent" and "sound". */
function wishes() {
  try {
    const kept = (localStorage.getItem(KEY) ?? "").split(",");
    return new Set(WISHES.map(([wish]) => wish).filter((wish) => kept.includes(wish)));
  } catch {
    return new Set(); // storage is forbidden
  }
}

/** Return whether a page has to stay connected with the node while it is in the background. */
export function wantsNews() {
  const wanted = wishes();
  return wanted.has("block") || wanted.has("silent");
}

/** Tell the reader of an event, if it is one that the reader wants to be told of. */
export function notify({ event, kind, subject, text }) {
  if (event !== "happened") return;
  const wanted = wishes();
  const miner = rememberedMiner();
  const isMine = miner !== null && (subject === miner || subject.startsWith(`${miner}.`));
  const isBlock = kind === "block_found" && wanted.has("block");
  const isSilent = (kind === "worker_down" || kind === "worker_up") && isMine && wanted.has("silent");
  if (!isBlock && !isSilent) return;
  show(isBlock ? t("Block found") : kind === "worker_down" ? t("Miner silent") : t("Miner back"), text, `${kind} ${subject}`);
  if (wanted.has("sound")) beep(isBlock ? 880 : 440);
}

/** Show a notification. Phones allow only those of the service worker; several tabs show one between them. */
async function show(title, body, tag) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const options = { body, tag, icon: ICON };
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    if (worker) await worker.showNotification(title, options);
    else new Notification(title, options);
  } catch {
    // the browser forbids it after all
  }
}

/** Play a tone of half a second. Browsers allow it after the reader has clicked on something. */
function beep(frequency) {
  try {
    audio ??= new AudioContext();
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.2, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.5);
  } catch {
    // no sound here
  }
}

/** Put a checkbox for each wish into `holder`, and below them what stands in the way of it. */
export function buildWishes(holder) {
  const kept = wishes();
  const problem = make("p", { class: "note", role: "status" });
  const boxes = WISHES.map(([wish, text]) => {
    const box = make("input", { type: "checkbox", id: `notify-${wish}` });
    box.checked = kept.has(wish);
    box.addEventListener("change", () => choose(boxes, problem, box));
    return [wish, box, make("label", { class: "wish" }, box, ` ${text}`)];
  });
  holder.append(...boxes.map(([, , label]) => label), problem);
  problem.textContent = obstacle();
}

async function choose(boxes, problem, changed) {
  const chosen = boxes.filter(([, box]) => box.checked).map(([wish]) => wish);
  try {
    localStorage.setItem(KEY, chosen.join(","));
  } catch {
    // storage is forbidden: nothing is remembered
  }
  if (changed.checked && "Notification" in window && Notification.permission === "default") await Notification.requestPermission();
  if (changed.checked && chosen.includes("sound")) beep(660);
  problem.textContent = obstacle();
}

/** Return what keeps the reader from getting what it wants, or "". */
function obstacle() {
  const wanted = wishes();
  if (wanted.size === 0) return "";
  if (wanted.has("silent") && rememberedMiner() === null) return t("Open your miner’s page and choose “Remember as my miner” first.");
  if (!("Notification" in window)) return t("This browser shows notifications only of pages that come over HTTPS.");
  if (Notification.permission === "denied") return t("Notifications of this page are blocked in the browser’s settings.");
  return "";
}
