// "My miner": the one address or worker that this browser remembers, at the reader's wish. It stays in the browser.

import { byId, setText } from "./dom.js";
import { t } from "./language.js";

/** The key in localStorage, which theme.js reads as well. */
const KEY = "miner";
const LONGEST = 200;

/** Return the remembered name, or null. */
export function rememberedMiner() {
  try {
    const name = localStorage.getItem(KEY);
    return name !== null && name !== "" && name.length <= LONGEST ? name : null;
  } catch {
    return null; // storage is forbidden
  }
}

/** Remember a name instead of the last one; null forgets it. */
function remember(name) {
  try {
    if (name === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name.slice(0, LONGEST));
  } catch {
    // storage is forbidden: nothing is remembered
  }
  if (rememberedMiner() === null) delete document.documentElement.dataset.miner;
  else document.documentElement.dataset.miner = "";
}

/** Make a button remember or forget `name`; `changed()` is called after each click. */
export function rememberButton(button, name, changed = () => {}) {
  const show = () => setText(button, rememberedMiner() === name ? t("Forget my miner") : t("Remember as my miner"));
  button.addEventListener("click", () => {
    const forgets = rememberedMiner() === name;
    remember(forgets ? null : name);
    show();
    setText(byId("said"), forgets ? t("Forgotten.") : t("Remembered in this browser: the dashboard shows it first."));
    changed();
  });
  show();
}
