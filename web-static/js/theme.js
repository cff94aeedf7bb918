// A classic script in the head of every page, for what must be known before anything is painted: the light or dark theme
// ("theme" in localStorage: "light", "dark", or nothing, which follows the system), and whether the dashboard has to make
// room for the reader's own miner ("miner": see mine.js).
{
  /** @type {?string} */
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
    if (localStorage.getItem("miner")) document.documentElement.dataset.miner = "";
  } catch {
    // storage is forbidden: follow the system
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
