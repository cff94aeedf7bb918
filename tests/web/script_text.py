"""What the pages' scripts show to people: the texts that they hand to js/language.js, and those that they forgot.

A reader of JavaScript that knows strings, templates, regular expressions and comments, and nothing else of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_SPACE = re.compile(r"\s+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'")
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_CHUNK = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\n": ""}
_BEFORE_REGEX = {"return", "typeof", "case", "in", "of", "=>", "await"}


@dataclass(slots=True)
class Token:
    """`kind` is string, template, word or sign. `text` is the value of a string, the source of others; a template
    has its texts in `chunks`, the tokens of its expressions in `inside` and their source in `sources`."""

    kind: str
    start: int
    end: int
    text: str
    chunks: list[str] = field(default_factory=list)
    inside: list[list[Token]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Return the text with "{0}" and so on for the expressions of a template."""
        if self.kind != "template":
            return self.text
        first, *others = self.chunks
        return first + "".join([f"{{{i}}}{chunk}" for i, chunk in enumerate(others)])


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        what = found[1]
        if what[0] in "ux" and len(what) > 1:
            return chr(int(what[1:].strip("{}"), 16))
        return _ESCAPED.get(what, what)

    return _ESCAPE.sub(one, text)


def tokens_of(source: str) -> list[Token]:
    """Return the tokens of a script. Raise ValueError if it is cut off."""
    found, end = _read(source, 0)
    if end != len(source):
        raise ValueError(f"unexpected }} at {end}")
    return found


def _read(source: str, at: int) -> tuple[list[Token], int]:
    """Return the tokens up to the brace that closes more than was opened, and where that is."""
    found: list[Token] = []
    depth = 0
    while at < len(source):
        if space := _SPACE.match(source, at):
            at = space.end()
            continue
        letter = source[at]
        if letter == "}" and depth == 0:
            break
        token = _token(source, at, found[-1] if found else None)
        depth += {"{": 1, "}": -1}.get(letter, 0)
        found.append(token)
        at = token.end
    return found, at


def _token(source: str, at: int, before: Token | None) -> Token:
    letter = source[at]
    if letter == "`":
        return _template(source, at)
    if string := _STRING.match(source, at):
        return Token("string", at, string.end(), _unescaped(string[0][1:-1]))
    may_be_regex = before is None or before.text in _BEFORE_REGEX or _is_operator(before)
    if letter == "/" and may_be_regex and (regex := _REGEX.match(source, at)):
        return Token("sign", at, regex.end(), regex[0])
    if word := _WORD.match(source, at):
        return Token("word", at, word.end(), word[0])
    if source.startswith("=>", at):
        return Token("sign", at, at + 2, "=>")
    return Token("sign", at, at + 1, letter)


def _is_operator(token: Token) -> bool:
    return token.kind == "sign" and not token.text.isdigit() and token.text not in ")]}"


def _template(source: str, start: int) -> Token:
    template = Token("template", start, start, "")
    at = start + 1
    while True:
        chunk = _CHUNK.match(source, at)
        assert chunk is not None
        template.chunks.append(_unescaped(chunk[0]))
        at = chunk.end()
        if source[at] == "`":
            template.end = at + 1
            template.text = source[start : at + 1]
            return template
        inside, end = _read(source, at + 2)
        template.inside.append(inside)
        template.sources.append(" ".join(source[at + 2 : end].split()))
        at = end + 1


def all_lists(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yield the tokens, and those of every expression in a template."""
    yield tokens
    for token in tokens:
        for inside in token.inside:
            yield from all_lists(inside)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a script for js/language.js: `one` is the English singular of one that counts something; `values`
    are the expressions behind its placeholders."""

    key: str
    one: str | None = None
    values: tuple[str, ...] = ()


TAGS = ("t", "phrase")
COUNTS = "plural"


def texts_of(source: str) -> tuple[list[Text], list[str]]:
    """Return the texts of a script, and what of them cannot be read: one line for each."""
    texts: list[Text] = []
    problems: list[str] = []
    for _, tokens, at in _calls(source):
        name, after = tokens[at].text, tokens[at + 1]
        if after.kind == "template":
            texts.append(Text(after.key, None, tuple(after.sources)))
        elif name == COUNTS:
            arguments = _arguments(source, tokens, at + 1)
            one, other = [_only_string(argument) for argument, _ in arguments[1:3]]
            if one is None or other is None:
                problems.append(f"{_line(source, tokens[at])}: {COUNTS} needs two strings")
                continue
            values = [text for _, text in (arguments[0], *arguments[3:])]
            texts.append(Text(other, one, tuple(values)))
        else:
            [(argument, _), *_] = _arguments(source, tokens, at + 1)
            text = _only_string(argument)
            if text is None:
                problems.append(f"{_line(source, tokens[at])}: {name} needs a string or a template")
            else:
                texts.append(Text(text))
    return texts, problems


def _calls(source: str) -> Iterator[tuple[int, list[Token], int]]:
    """Yield (position, tokens, index) of the name in each call of a function for texts, in their order."""
    found = []
    for tokens in all_lists(tokens_of(source)):
        for at, token in enumerate(tokens[:-1]):
            if token.kind != "word" or token.text not in (*TAGS, COUNTS):
                continue
            before = [each.text for each in tokens[max(0, at - 2) : at]]
            after = tokens[at + 1]
            is_own = before[-1:] == ["function"] or (before[-1:] == ["."] and before != [".", "."])
            if not is_own and (after.kind == "template" or after.text == "("):
                found.append((token.start, tokens, at))
    return iter(sorted(found, key=lambda each: each[0]))


def _arguments(source: str, tokens: list[Token], at: int) -> list[tuple[list[Token], str]]:
    """Return the arguments after the bracket at this index: their tokens and their source."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[at:]:
        if token.kind == "sign" and token.text in "([{":
            depth += 1
            if depth == 1:
                continue
        elif token.kind == "sign" and token.text in ")]}":
            depth -= 1
            if depth == 0:
                break
        elif token.kind == "sign" and token.text == "," and depth == 1:
            arguments.append([])
            continue
        arguments[-1].append(token)
    return [(each, " ".join(source[each[0].start : each[-1].end].split())) for each in arguments if each]


def _only_string(tokens: list[Token]) -> str | None:
    return tokens[0].text if len(tokens) == 1 and tokens[0].kind == "string" else None


def _line(source: str, token: Token) -> int:
    return source.count("\n", 0, token.start) + 1


_ENGLISH = re.compile(r"[A-Za-z]{2,}[,.:;]? +\(?[A-Za-z]|^[A-Z][a-z]+(?![\w-])|[a-z]{2,}[.:,]( |$)")
_PLACED = re.compile(r"\{\d+\}")
NOT_SHOWN = {"class", "className", "d", "viewBox", "transform", "href", "from"}
"""Words before a string that no one reads."""


def _is_english(text: str) -> bool:
    own = _PLACED.sub(" ", text)
    return bool(re.search("[A-Za-z]{2}", own) and _ENGLISH.search(_PLACED.sub("xx", text).strip()))


def _is_attribute(before: list[str]) -> bool:
    """Return whether the two tokens before a string say that no one reads it."""
    return before[-1:] == ["import"] or any(word in NOT_SHOWN for word in before)


def english_of(source: str) -> list[tuple[int, str]]:
    """Return (line, text) of the strings that look like English for people and are not given to js/language.js."""
    given = set()
    for _, tokens, at in _calls(source):
        if tokens[at + 1].kind == "template":
            given.add(tokens[at + 1].start)
        else:
            alone = [each[0] for each, _ in _arguments(source, tokens, at + 1) if len(each) == 1]
            given |= {one.start for one in alone}
    found = []
    for tokens in all_lists(tokens_of(source)):
        for at, token in enumerate(tokens):
            if token.kind not in ("string", "template") or token.start in given:
                continue
            before = [each.text for each in tokens[max(0, at - 2) : at]]
            if not _is_attribute(before) and _is_english(token.key):
                found.append((_line(source, token), token.key))
    return sorted(set(found))
