// A classic script at the head of a page of an old address: leads to the new one, with the question as it was.
{
  const target = document.querySelector('link[rel="canonical"]').getAttribute("href");
  location.replace(target + location.search + location.hash);
}
