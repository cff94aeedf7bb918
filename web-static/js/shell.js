// What stands around every page: header with navigation, the choice of theme, and the footer.

import { byId, make, setText } from "./dom.js";

const PAGES = [
  ["index.html", "Dashboard"],
  ["miners.html", "Miners"],
  ["stratum.html", "Stratum"],
  ["blocks.html", "Blocks"],
  ["payouts.html", "Payouts"],
  ["chain.html", "Shares"],
  ["graphs.html", "Graphs"],
  ["peers.html", "Peers"],
  ["transition.html", "Transition"],
  ["events.html", "Events"],
  ["node.html", "Node"],
];
/** Pages that belong to another one in the navigation. */
const BELOW = { "worker.html": "miners.html", "share.html": "chain.html" };
const THEMES = ["auto", "light", "dark"];

const currentFile = () => location.pathname.split("/").at(-1) || "index.html";

/** Builds header and footer into the page's empty `#top` and `#foot`. */
export function buildShell() {
  const file = currentFile();
  const links = PAGES.map(([href, text]) => {
    const current = href === file ? "page" : href === BELOW[file] ? "true" : null;
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
      make("p", { id: "live", class: "live", "data-state": "waiting" }, "Asking the node…"),
      themeButton(),
      make("nav", { "aria-label": "Pages" }, make("ul", {}, ...links)),
    ),
  );
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
      make("li", {}, make("a", { href: "../api/openapi.json" }, "OpenAPI document")),
      make("li", {}, make("a", { href: "../metrics" }, "Prometheus metrics")),
    ),
  );
}

// --- light and dark ----------------------------------------------------------------------------------------

const onThemeChange = new Set();

/** Calls `redraw` whenever the page's colours change, for what is drawn rather than styled. */
export function whenThemeChanges(redraw) {
  onThemeChange.add(redraw);
}

const changed = () => onThemeChange.forEach((redraw) => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

function themeButton() {
  const root = document.documentElement;
  const button = make("button", { type: "button", id: "theme", class: "theme" });
  const say = () => setText(button, `Theme: ${root.dataset.theme ?? "auto"}`);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      // storage is forbidden: the choice holds for this page
    }
    say();
    changed();
  });
  say();
  return button;
}

/** Shows which network this is; anything but the main one gets a word of explanation. */
export function showNetwork(name) {
  const tag = byId("network");
  if (typeof name !== "string") return;
  const main = name === "dash";
  tag.hidden = false;
  tag.title = main ? "The main Dash network" : "Not the main network: its coins are worth nothing";
  setText(tag, main ? "Dash mainnet" : `${name}: test coins`);
}
