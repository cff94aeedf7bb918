// A classic script of a page that has moved: redirects to the new address, with the same query and fragment.
{
  const target = document.querySelector('link[rel="canonical"]')?.getAttribute("href");
  location.replace(target + location.search + location.hash);
}
