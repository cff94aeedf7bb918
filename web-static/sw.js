// The service worker: shows the offline page when the node does not answer. Everything else comes from the node, so a
// page is never older than the node, and no figure is kept. Browsers run it only with HTTPS or on the node's machine.

const CACHE = "offline-2";
const OFFLINE = ["offline.html", "style.css", "favicon.svg", "js/theme.js", "js/language.js", "js/translate.js"];
const LOCALES = new URL("locales/", self.location.href).href;
const offlineUrls = new Set(OFFLINE.map((path) => new URL(path, self.location.href).href));

self.addEventListener("install", (event) => {
  const requests = OFFLINE.map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const forget = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(forget).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match("offline.html")));
  } else if (offlineUrls.has(request.url)) {
    event.respondWith(fetch(request).catch(() => caches.match(request.url)));
  } else if (request.url.startsWith(LOCALES)) {
    event.respondWith(fetchCatalogue(request));
  }
});

/** Fetch the catalogue of the reader's language, and keep it for the offline page. */
async function fetchCatalogue(request) {
  try {
    const answer = await fetch(request);
    if (answer.ok) (await caches.open(CACHE)).put(request, answer.clone());
    return answer;
  } catch {
    return (await caches.match(request.url)) ?? Response.error();
  }
}
