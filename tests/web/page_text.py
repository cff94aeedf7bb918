"""What the HTML of a page shows to people, as web-static/js/translate.js looks for it in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "wbr", "img", "input", "hr", "col", "source"}
_INLINE = {
    *("a", "abbr", "b", "br", "code", "em", "i", "kbd", "small", "span", "strong", "sub", "sup", "time", "var"),
    "wbr",
}
_SKIPPED = {"script", "style", "noscript", "template"}
_LITERAL = {"code", "pre"}
_ATTRIBUTES = ("title", "aria-label", "placeholder", "alt")
_BLANKS = re.compile(r"[ \t\n\r]+")
_TAG = re.compile(r"</?\d+/?>")


@dataclass(slots=True)
class Element:
    """An element: its children are elements and texts."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return all texts inside."""
        return "".join([child if isinstance(child, str) else child.text for child in self.children])

    @property
    def is_skipped(self) -> bool:
        """Return whether nothing inside is translated."""
        return self.name in _SKIPPED or self.attributes.get("translate") == "no"

    @property
    def is_place(self) -> bool:
        """Return whether it is only a place in the sentence around it."""
        return (
            self.name not in _INLINE
            or "note" in self.attributes.get("class", "").split()
            or self.is_skipped
            or _is_blank(self.text)
        )


class _Parser(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag, f"<{tag}> is not closed in order"

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def _is_blank(text: str) -> bool:
    return not _BLANKS.sub("", text)


def _words(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def has_letters(text: str) -> bool:
    """Return whether there is anything to translate in a text."""
    return any(letter.isalpha() for letter in _TAG.sub("", text))


def page_texts(html: str) -> list[str]:
    """Return the texts of a page, each once, in their order."""
    root = _Parser(html).root
    found = [_words(element.text) for element in _named(root, "title")]
    for body in _named(root, "body"):
        found += _visit(body)
    return list(dict.fromkeys([text for text in found if has_letters(text)]))


def _named(element: Element, name: str) -> Iterator[Element]:
    for child in element.children:
        if isinstance(child, Element):
            if child.name == name:
                yield child
            yield from _named(child, name)


def _attributes(element: Element) -> list[str]:
    return [_words(value) for name in _ATTRIBUTES if (value := element.attributes.get(name))]


def _visit(element: Element) -> Iterator[str]:
    if element.is_skipped:
        return
    yield from _attributes(element)
    nodes = list(element.children)
    places = [node for node in nodes if isinstance(node, Element)]
    if element.name not in _LITERAL and any(isinstance(node, str) and not _is_blank(node) for node in nodes):
        while _is_edge(nodes[0]):
            nodes.pop(0)
        while _is_edge(nodes[-1]):
            nodes.pop()
        kept = {id(node) for node in nodes}
        inside: list[Element] = []
        texts: list[str] = []
        key = _words(_written(nodes, [0], inside, texts))
        yield key
        yield from texts
        places = [*(node for node in places if id(node) not in kept), *inside]
    for node in places:
        yield from _visit(node)


def _is_edge(node: Element | str) -> bool:
    return _is_blank(node) if isinstance(node, str) else node.is_place


def _written(nodes: list[Element | str], number: list[int], places: list[Element], texts: list[str]) -> str:
    parts = []
    for node in nodes:
        if isinstance(node, str):
            parts.append(node)
            continue
        mine = number[0]
        number[0] += 1
        if node.is_place:
            places.append(node)
            parts.append(f"<{mine}/>")
        else:
            texts += _attributes(node)
            parts.append(f"<{mine}>{_written(node.children, number, places, texts)}</{mine}>")
    return "".join(parts)
