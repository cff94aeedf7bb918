// The header with navigation and theme button, and the footer, of every page.

import { byId, make, setText } from "./dom.js";
import { keepFocusInView } from "./focus.js";

const PAGES = [
  ["index.html", "Dashboard"],
  ["miners.html", "Miners"],
  ["stratum.html", "Stratum"],
  ["blocks.html", "Blocks"],
  ["payouts.html", "Payouts"],
  ["chain.html", "Shares"],
  ["graphs.html", "Graphs"],
  ["peers.html", "Peers"],
  ["transition.html", "Votes"],
  ["events.html", "Events"],
  ["node.html", "Node"],
  ["help.html", "Help"],
];
/** Pages that are below another one in the navigation. */
const PARENT_PAGE = { "worker.html": "miners.html", "share.html": "chain.html", "payoutbook.html": "payouts.html" };
const THEMES = ["auto", "light", "dark"];

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
      make("p", { id: "live", class: "live", "data-state": "waiting" }, "Connecting…"),
      themeButton(),
      make("nav", { "aria-label": "Pages" }, make("ul", {}, ...links)),
    ),
  );
  showCurrent();
  byId("foot").replaceChildren(
    make(
      "p",
      {},
      "p2pool-dash ",
      make("span", { id: "foot-version" }),
      " – a decentralised mining pool: every node keeps the same share chain, and every block pays the miners directly.",
    ),
    make(
      "ul",
      { class: "links" },
      make("li", {}, make("a", { href: "index.html#connect" }, "Connect a miner")),
      make("li", {}, make("a", { href: "api.html" }, "API")),
      make("li", {}, make("a", { href: "../api/openapi.json" }, "OpenAPI document")),
      make("li", {}, make("a", { href: "../metrics" }, "Prometheus metrics")),
    ),
  );
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
  const showChoice = () => setText(button, `Theme: ${root.dataset.theme ?? "auto"}`);
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
  tag.title = main ? "The main Dash network" : "A test network: its coins have no value";
  setText(tag, main ? "Dash mainnet" : `${name}: test coins`);
}
