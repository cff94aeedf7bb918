// A classic script in the head of every page, for what must be known before anything is painted: the light or dark theme
// ("theme" in localStorage: "light", "dark", or nothing, which follows the system), whether the dashboard has to make
// room for the reader's own miner ("miner": see mine.js), and the language (see language.js).
{
  /** Those that have a catalogue, besides English. */
  const LANGUAGES = ["de", "es", "ru", "zh"];
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search).get("lang");
  /** @type {(?string)[]} */
  let chosen = [asked];
  /** @type {?string} */
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
    if (localStorage.getItem("miner")) root.dataset.miner = "";
    // What a link asks for applies to the pages that follow in this tab, too.
    if (asked !== null) sessionStorage.setItem("language", asked);
    chosen = [asked, sessionStorage.getItem("language"), localStorage.getItem("language")];
  } catch {
    // storage is forbidden: follow the system
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  const wanted = [...chosen, ...navigator.languages].map((tag) => (tag ?? "").toLowerCase().split("-")[0]);
  const language = wanted.find((each) => each === "en" || LANGUAGES.includes(each)) ?? "en";
  if (language !== "en") {
    const here = /** @type {HTMLScriptElement} */ (document.currentScript).src;
    const hint = document.createElement("link");
    hint.rel = "modulepreload";
    hint.href = new URL("translate.js", here).href;
    document.head.append(hint);
    root.lang = language;
    // The style sheet hides the English text while it is being replaced, but not for long.
    root.dataset.translating = "";
    setTimeout(() => delete root.dataset.translating, 1000);
    /** @type {any} */ (window).catalogue = fetch(new URL(`../locales/${language}.json`, here), { signal: AbortSignal.timeout?.(5000) })
      .then((answer) => (answer.ok ? answer.json() : null))
      .catch(() => null);
  }
  // For the first number and the first date, the browser loads its tables of languages, which takes phones a while: it
  // can do so while it waits for the other scripts, in tasks of their own.
  setTimeout(() => new Intl.NumberFormat(root.lang).format(0));
  setTimeout(() => new Intl.DateTimeFormat(root.lang, { timeZoneName: "short" }).format(0));
}
