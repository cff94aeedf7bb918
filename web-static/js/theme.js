// A classic script at the head of every page: the reader's choice of light or dark, before anything is painted.
// Kept under "theme" in localStorage; "light", "dark", or nothing, which follows the system.
{
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // storage is forbidden: the system's choice it is
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
