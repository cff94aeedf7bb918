// What has the keyboard focus stays in view while the page changes under it.

/** Restore the focus if an element of `body` lost it because its row was moved. */
export function keepFocus(focused, body) {
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

function isInView(node) {
  const box = node.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
}

/**
 * Scroll the focused element back into view when the page has grown or shrunk and pushed it out: a browser keeps its
 * place by itself only while the page is scrolled. What the reader has scrolled away from stays out of view.
 */
export function keepFocusInView() {
  const focused = () => document.activeElement ?? document.body;
  let wasInView = false;
  const look = () => {
    wasInView = focused() !== document.body && isInView(focused());
  };
  addEventListener("focusin", look);
  addEventListener("focusout", () => {
    wasInView = false;
  });
  addEventListener("scroll", look, { passive: true });
  const restore = () => {
    if (wasInView && !isInView(focused())) focused().scrollIntoView({ block: "nearest" });
    look();
  };
  new ResizeObserver(restore).observe(document.body);
  // A list that gets a row at its top and loses one at its end is as long as before.
  new MutationObserver(() => {
    if (wasInView) restore();
  }).observe(document.body, { childList: true, subtree: true });
}
