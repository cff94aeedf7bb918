// Translates the HTML of a page in place. tests/web/page_text.py finds the same texts in the files.
//
// A text is all that an element says, from its first word to its last; elements within it are numbered tags:
// "Ask <0>dashd</0> for the height: <1/>". A tag without content stands for an element that is empty, or no part of the
// sentence. Elements are moved, never made, and texts enter the page as text.

const INLINE = new Set(["A", "ABBR", "B", "BR", "CODE", "EM", "I", "KBD", "SMALL", "SPAN", "STRONG", "SUB", "SUP", "TIME", "VAR", "WBR"]);
/** Elements that nobody reads. */
const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE"]);
/** Elements whose text is for machines, but not their attributes. */
const LITERAL = new Set(["CODE", "PRE"]);
const ATTRIBUTES = ["title", "aria-label", "placeholder", "alt"];
const BLANKS = /[ \t\n\r]+/g;
const TAG = /<(\/?)(\d+)(\/?)>/;

const isBlank = (node) => node.nodeType === Node.TEXT_NODE && node.data.replace(BLANKS, "") === "";
const isSkipped = (node) => SKIPPED.has(node.tagName) || node.getAttribute("translate") === "no";
/** Return whether an element is only a place in a sentence: what it says, if anything, is a text of its own. */
const isPlace = (node) =>
  node.nodeType === Node.ELEMENT_NODE &&
  (!INLINE.has(node.tagName) || node.classList.contains("note") || isSkipped(node) || node.textContent.replace(BLANKS, "") === "");

/** Translate the page; `wordingOf` returns the text for an English one. */
export function translatePage(wordingOf, page = document) {
  page.title = wordingOf(page.title);
  visit(page.body, wordingOf);
}

function visit(element, wordingOf) {
  if (isSkipped(element)) return;
  translateAttributes(element, wordingOf);
  const nodes = [...element.childNodes].filter((node) => node.nodeType !== Node.COMMENT_NODE);
  let places = nodes.filter((node) => node.nodeType === Node.ELEMENT_NODE);
  if (!LITERAL.has(element.tagName) && nodes.some((node) => node.nodeType === Node.TEXT_NODE && !isBlank(node))) {
    while (isBlank(nodes[0]) || isPlace(nodes[0])) nodes.shift();
    while (isBlank(nodes.at(-1)) || isPlace(nodes.at(-1))) nodes.pop();
    places = [...places.filter((node) => !nodes.includes(node)), ...translateText(nodes, wordingOf)];
  }
  for (const node of places) visit(node, wordingOf);
}

function translateAttributes(element, wordingOf) {
  for (const name of ATTRIBUTES) {
    const value = element.getAttribute(name);
    if (value) element.setAttribute(name, wordingOf(value.replace(BLANKS, " ").trim()));
  }
}

/** Translate the text that these nodes of an element make. Return the elements in it that have texts of their own. */
function translateText(nodes, wordingOf) {
  const elements = [];
  const places = [];
  const written = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    const number = elements.push(node) - 1;
    if (isPlace(node)) {
      places.push(node);
      return `<${number}/>`;
    }
    translateAttributes(node, wordingOf);
    return `<${number}>${[...node.childNodes].map(written).join("")}</${number}>`;
  };
  const whole = nodes.map(written).join("").replace(BLANKS, " ");
  const key = whole.trim();
  const wording = wordingOf(key);
  if (wording === key) return places;
  const mark = document.createComment("");
  nodes[0].before(mark);
  for (const node of nodes) node.remove();
  mark.replaceWith(whole.startsWith(" ") ? " " : "", ...built(wording, elements), whole.endsWith(" ") ? " " : "");
  return places;
}

/** Return the nodes of a wording, with the elements where its tags are. */
function built(wording, elements) {
  /** @type {any[][]} */
  const open = [[]];
  // A text, then three parts of a tag, and so on: "/" if it closes an element, its number, "/" if it has no content.
  const pieces = wording.split(TAG);
  for (let i = 0; i < pieces.length; i += 4) {
    if (pieces[i] !== "") open.at(-1)?.push(pieces[i]);
    if (i + 1 === pieces.length) break;
    const [closes, number, isPlaceOnly] = [pieces[i + 1] === "/", Number(pieces[i + 2]), pieces[i + 3] === "/"];
    if (closes) elements[number].replaceChildren(...(open.pop() ?? []));
    else open.at(-1)?.push(elements[number]);
    if (!closes && !isPlaceOnly) open.push([]);
  }
  return open[0];
}
