"""What is wrong with how a page lies on the screen, found by measuring: nothing runs out of the window, no text is
cut off without being told in full elsewhere, no text lies on another, nothing moves while it loads."""

from __future__ import annotations

from tests.e2e.pages.browser import View

_MEASURE = """() => {
  const width = document.documentElement.clientWidth;
  const found = [];
  const name = (node) => {
    const text = JSON.stringify(node.textContent.trim().slice(0, 40));
    return `${node.tagName.toLowerCase()} in #${node.closest("[id]")?.id ?? ""} ${text}`;
  };
  const isSeen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    && node.closest(".unseen, .skip") === null;
  const needed = document.scrollingElement.scrollWidth;
  if (needed > width) found.push(`the page is ${needed} wide`);
  // Which part of an element can be seen at all: that inside of all boxes that cut their content off.
  const seenPart = (node, box) => {
    let { left, right, top, bottom } = box;
    for (let at = node; at !== null && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const frame = at.getBoundingClientRect();
      left = Math.max(left, frame.left); right = Math.min(right, frame.right);
      top = Math.max(top, frame.top); bottom = Math.min(bottom, frame.bottom);
    }
    return { left, right, top, bottom };
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text !== null; text = walker.nextNode()) {
    const node = text.parentElement;
    if (text.data.trim() === "" || node === null || !isSeen(node)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects()) {
      if (box.width < 1 || box.height < 1) continue;
      const part = seenPart(node, box);
      if (part.right - part.left < 1 || part.bottom - part.top < 1) continue;
      if (part.right > width + 1 || part.left < -1) found.push(`out of the window: ${name(node)}`);
      texts.push({ node, ...part });
    }
    const style = getComputedStyle(node);
    const cuts = ["hidden", "clip"].includes(style.overflowX);
    const isTold = node.closest("[title]") !== null || node.closest("[aria-label]") !== null;
    if (cuts && node.scrollWidth > node.clientWidth + 1 && !isTold) found.push(`cut off: ${name(node)}`);
  }
  texts.sort((a, b) => a.top - b.top);
  for (let i = 0; i < texts.length; i += 1) {
    for (let j = i + 1; j < texts.length && texts[j].top < texts[i].bottom - 3; j += 1) {
      const [a, b] = [texts[i], texts[j]];
      if (a.node === b.node || a.node.contains(b.node) || b.node.contains(a.node)) continue;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 2 && down > 3) found.push(`one on the other: ${name(a.node)} and ${name(b.node)}`);
    }
  }
  return [...new Set(found)];
}"""


_WATCH_SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const names = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
      const isNews = names.every((name) => name === "TR"); // a row that came in above others
      if (!entry.hadRecentInput && !isNews) window.shifts.push([entry.value, names.join(" ")]);
    }
  }).observe({ type: "layout-shift", buffered: true });
"""
MAX_SHIFT = 0.05
"""Layout shift (the CLS of Web Vitals, all of it) of a page that loads without moving under the reader."""


def watch_shifts(view: View) -> None:
    """Measure from the start what moves on the page; to be done before it is opened."""
    view.page.add_init_script(_WATCH_SHIFTS)


def shifts(view: View) -> list[str]:
    """What has moved too far since the start: one line for each, for people."""
    found = view.tell("window.shifts")
    total = sum(value for value, _ in found)
    return [f"{value:.4f} {names}" for value, names in found] if total > MAX_SHIFT else []


def faults(view: View) -> list[str]:
    """One line for each, for people, with all of the page laid out."""
    view.lay_out()
    return view.tell(_MEASURE)
