// A classic script in the head of every page: applies the light or dark theme before anything is painted. The choice
// is "theme" in localStorage: "light", "dark", or nothing, which follows the system.
{
  /** @type {?string} */
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // storage is forbidden: follow the system
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
