// The header with navigation and theme button, and the footer, of every page.

import { byId, make, setText } from "./dom.js";
import { keepFocusInView } from "./focus.js";
import { chooseLanguage, DRAFTS, language, LANGUAGES, t } from "./language.js";

const PAGES = [
  ["index.html", t("Dashboard")],
  ["miners.html", t("Miners")],
  ["stratum.html", t("Stratum")],
  ["blocks.html", t("Blocks")],
  ["payouts.html", t("Payouts")],
  ["chain.html", t("Shares")],
  ["graphs.html", t("Graphs")],
  ["peers.html", t("Peers")],
  ["transition.html", t("Votes")],
  ["events.html", t("Events")],
  ["node.html", t("Node")],
  ["help.html", t("Help")],
];
/** Pages that are below another one in the navigation. */
const PARENT_PAGE = { "worker.html": "miners.html", "share.html": "chain.html", "payoutbook.html": "payouts.html" };
const THEMES = ["auto", "light", "dark"];
const THEME_TEXTS = { auto: t("Theme: auto"), light: t("Theme: light"), dark: t("Theme: dark") };

const currentFile = () => location.pathname.split("/").at(-1) || "index.html";

/** Build the header and footer in the empty `#top` and `#foot` of the page. */
export function buildShell() {
  keepFocusInView();
  registerServiceWorker();
  const file = currentFile();
  const links = PAGES.map(([href, text]) => {
    const current = href === file ? "page" : href === PARENT_PAGE[file] ? "true" : null;
    return make("li", {}, make("a", { href, "aria-current": current }, text));
  });
  const home = make(
    "a",
    { class: "home", href: "index.html" },
    make("img", { class: "mark", src: "favicon.svg", alt: "", width: "32", height: "32" }),
    make("span", {}, "p2pool-dash"),
  );
  byId("top").replaceChildren(
    make(
      "div",
      { class: "wrap top-in" },
      home,
      make("span", { id: "network", class: "tag", hidden: "" }),
      make("p", { id: "live", class: "live", "data-state": "waiting" }, t("Connecting…")),
      themeButton(),
      make("nav", { "aria-label": t("Pages") }, make("ul", {}, ...links)),
    ),
  );
  requestAnimationFrame(showCurrent); // in this task, it would have the whole page laid out
  byId("foot").replaceChildren(
    make(
      "p",
      {},
      "p2pool-dash ",
      make("span", { id: "foot-version" }),
      t(" – a decentralised mining pool: every node keeps the same share chain, and every block pays the miners directly."),
    ),
    make(
      "ul",
      { class: "links" },
      make("li", {}, make("a", { href: "index.html#connect" }, t("Connect a miner"))),
      make("li", {}, make("a", { href: "api.html" }, "API")),
      make("li", {}, make("a", { href: "../api/openapi.json" }, t("OpenAPI document"))),
      make("li", {}, make("a", { href: "../metrics" }, t("Prometheus metrics"))),
      make("li", {}, languageChoice()),
    ),
  );
}

/** Return the choice of a language, each by its own name. */
function languageChoice() {
  const options = Object.entries(LANGUAGES).map(([tag, name]) => {
    const text = DRAFTS.includes(tag) ? t`${name} (draft)` : name;
    return make("option", { value: tag, translate: "no" }, text);
  });
  const select = make("select", { id: "language", "aria-label": t("Language") }, ...options);
  select.value = language;
  select.addEventListener("change", () => chooseLanguage(select.value));
  const note = DRAFTS.includes(language) ? make("span", { class: "draft" }, t("Translation: machine-reviewed draft")) : "";
  return make("span", { class: "language" }, select, note);
}

/** Have the browser show the offline page when the node does not answer; not all browsers allow it on all pages. */
function registerServiceWorker() {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("sw.js").catch(() => {
    // it is forbidden here: nothing else depends on it
  });
}

/** Scroll the navigation, which is one line on narrow screens, to the current page. */
function showCurrent() {
  /** @type {?HTMLElement} */
  const list = document.querySelector(".top nav ul");
  /** @type {?HTMLElement} */
  const current = document.querySelector(".top nav a[aria-current]");
  if (list === null || current === null) return;
  const [inner, outer] = [current.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.right > outer.right) list.scrollLeft += inner.right - outer.right + inner.width;
}

// --- light and dark ----------------------------------------------------------------------------------------

const onThemeChange = new Set();

/** Call `redraw` whenever the colours of the page change, for what is drawn on a canvas. */
export function whenThemeChanges(redraw) {
  onThemeChange.add(redraw);
}

const changed = () => onThemeChange.forEach((redraw) => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

function themeButton() {
  const root = document.documentElement;
  const button = make("button", { type: "button", id: "theme", class: "theme" });
  const showChoice = () => setText(button, THEME_TEXTS[root.dataset.theme ?? "auto"]);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // storage is forbidden: the choice applies to this page only
    }
    showChoice();
    changed();
  });
  showChoice();
  return button;
}

/** Show the network of the node, and explain any but the main one. */
export function showNetwork(name) {
  const tag = byId("network");
  if (typeof name !== "string") return;
  const main = name === "dash";
  tag.hidden = false;
  tag.title = main ? t("The main Dash network") : t("A test network: its coins have no value");
  setText(tag, main ? t("Dash mainnet") : t`${name}: test coins`);
}
