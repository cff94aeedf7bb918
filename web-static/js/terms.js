// Terms in the labels of the pages: each becomes a button that shows its entry of the glossary, which is on the help page.

import { byId, inTurn, make, setText } from "./dom.js";
import { t, told } from "./language.js";

/**
 * The labels, by the term that explains them (the id of its entry on help.html): ids of headings, and of figures whose
 * label is the `dt`. Each page has some of them.
 */
export const TERMS = {
  submission: ["e-submission", "h-accepted", "f-accepted"],
  share: ["shares-title", "m-share", "e-share", "f-shares"],
  "share-chain": ["f-chain"],
  window: ["window-title"],
  difficulty: ["f-diff", "f-difficulty", "g-difficulty-title"],
  stale: ["h-stale", "g-stale-title"],
  dead: ["h-dead", "f-dead", "g-local-title"],
  orphan: ["h-orphan", "g-rates-title"],
  efficiency: ["h-eff"],
  luck: ["luck-title"],
  round: ["l-round", "f-round"],
  estimating: ["f-rate", "f-local", "m-rate"],
};
const HELP = new URL("../help.html", import.meta.url);
const MARGIN = 8;

/** @type {?Promise<Map<string, {name: string, text: string}>>} */
let glossary = null;

async function fetchGlossary() {
  const page = new DOMParser().parseFromString(await (await fetch(HELP)).text(), "text/html");
  const entries = [...page.querySelectorAll("#glossary > div")];
  return new Map(entries.map((entry) => [entry.id, { name: words(entry.querySelector("dt")), text: words(entry.querySelector("dd")) }]));
}

const words = (node) => told((node?.textContent ?? "").trim().replace(/\s+/g, " "));

/** Return the entry of a term; null if the node does not answer, so that the next look asks it again. */
async function entryOf(term) {
  glossary ??= fetchGlossary();
  try {
    return (await glossary).get(term) ?? null;
  } catch {
    glossary = null;
    return null;
  }
}

/** Make a button of each label on this page that is a term, in a turn of its own: nobody waits for it. */
export const explainTerms = () => inTurn(makeButtons);

function makeButtons() {
  for (const [term, ids] of Object.entries(TERMS)) {
    for (const id of ids) {
      const node = byId(id);
      const label = node?.closest("div")?.querySelector("dt") ?? node;
      if (node !== null) explain(/^H\d$/.test(node.tagName) ? node : label, term);
    }
  }
}

function explain(label, term) {
  const text = label.firstChild;
  const href = `help.html#${term}`;
  // Browsers from before 2024 have no popovers: there the label is a link.
  const hasPopovers = "popover" in HTMLElement.prototype;
  const button = hasPopovers ? make("button", { type: "button", class: "term" }) : make("a", { class: "term", href });
  label.replaceChild(button, text);
  button.append(text.data.trim());
  button.after(" ");
  if (!hasPopovers) return;
  /** @type {?HTMLElement} */
  let box = null;
  button.addEventListener("click", () => {
    // Opened by the browser itself after this, which also closes it, by Escape or a click elsewhere.
    if (box === null) {
      box = makeBox(button, href);
      button.popoverTargetElement = box;
    }
    fill(box, button, term);
  });
}

function makeBox(button, href) {
  const name = make("strong");
  const box = make("div", { class: "term-box", popover: "auto" }, name, make("p", { "aria-live": "polite" }, "…"), make("a", { href }, t("All terms")));
  box.addEventListener("beforetoggle", ({ newState }) => newState === "open" && place(box, button));
  byId("main").append(box);
  return box;
}

async function fill(box, button, term) {
  const entry = await entryOf(term);
  setText(box.children[0], entry?.name ?? "");
  setText(box.children[1], entry?.text ?? t("The node does not answer."));
  // Open by now, and as high as it will be.
  requestAnimationFrame(() => keepInView(box, button));
}

/** Put the box below its button, within the width of the page. */
function place(box, button) {
  const at = button.getBoundingClientRect();
  const width = Math.min(352, document.documentElement.clientWidth - 2 * MARGIN);
  const left = Math.min(at.left, document.documentElement.clientWidth - MARGIN - width);
  box.style.width = `${width}px`;
  box.style.left = `${Math.max(MARGIN, left) + scrollX}px`;
  box.style.top = `${at.bottom + 4 + scrollY}px`;
}

/** Move the box above its button if it has room only there. */
function keepInView(box, button) {
  const { bottom, height } = box.getBoundingClientRect();
  const above = button.getBoundingClientRect().top - height - 4;
  if (bottom > innerHeight && above > 0) box.style.top = `${above + scrollY}px`;
}
