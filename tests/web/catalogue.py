"""The catalogue of the pages' texts: collects them, and checks the languages against it.

`python -m tests.web.catalogue` writes web-static/locales/en.json anew, with the notes that are in it, and sorts
the other languages like it. `python -m tests.web.catalogue missing de` prints what a language lacks, to be filled
in; `python -m tests.web.catalogue merge de FILE` adds the translations in a file of that form. The first and the
last print what is wrong.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

from p2pool.pool_stats.judgement import ADVICE, NO_RECORD
from p2pool.web.api.coinbase import PARTS
from p2pool.web.api.history_question import NONE_IS_KEPT, OUT_OF_ORDER, TOO_MANY_QUESTIONS
from p2pool.web.api.miners import NO_WORKER
from tests.support import ROOT
from tests.web.page_text import page_texts
from tests.web.script_text import texts_of

STATIC: Final = ROOT / "web-static"
LOCALES: Final = STATIC / "locales"
ENGLISH: Final = LOCALES / "en.json"
NODE_TEXTS: Final = {
    "/api/v1/miners": [*dict.fromkeys(filter(None, ADVICE.values())), NO_RECORD, NO_WORKER],
    "/api/v1/coinbase": [*PARTS.values()],
    "/api/v1/ports": [
        *("miners", "miners and browsers", "miners, by gateways", "miners, through TLS"),
        *("browsers", "browsers, through TLS", "other nodes"),
    ],
    "/api/v1/history": [NONE_IS_KEPT, OUT_OF_ORDER, TOO_MANY_QUESTIONS],
}
"""Fixed sentences of the node, by where they come from: pages translate them by `told`."""
MOVED: Final = {"dashboard.html", "miner.html"}
"""Old addresses: scripts leave them before they are read."""
NOT_READ: Final = {"language.js", "translate.js"}
"""Scripts that define how texts are handled."""
FORMS: Final = {
    "de": ("one", "other"),
    "es": ("one", "many", "other"),
    "ru": ("one", "few", "many", "other"),
    "zh": ("other",),
}
"""The plural forms of each language, by Intl.PluralRules. A language needs all of them, but "many" of "es" may be
left out: it is for millions."""
MAY_LACK: Final = {("es", "many")}
_TOKEN: Final = re.compile(r"\{\d+\}|</?\d+/?>")

Entry = dict[str, Any]


@cache
def collect() -> tuple[dict[str, Entry], list[str]]:
    """Return the texts of all pages and scripts in the order of their files, and what of them is wrong."""
    found: dict[str, Entry] = {}
    problems: list[str] = []

    def add(key: str, where: str, one: str | None, values: tuple[str, ...]) -> None:
        entry = found.setdefault(key, {"in": []} if one is None else {"one": one, "in": []})
        if entry.get("one") != one:
            problems.append(f"{where}: {key!r} is counted in one place, and not or otherwise in another")
        if values and where not in entry["in"]:
            entry.setdefault("values", list(values))
        if where not in entry["in"]:
            entry["in"].append(where)

    for path in sorted(STATIC.glob("*.html")):
        if path.name not in MOVED:
            for key in page_texts(path.read_text("utf-8")):
                add(key, path.name, None, ())
    for path in scripts():
        texts, unread = texts_of(path.read_text("utf-8"))
        where = f"{path.parent.name}/{path.name}"
        problems += [f"{where}:{line}" for line in unread]
        for text in texts:
            add(text.key, where, text.one, text.values)
    for where, sentences in NODE_TEXTS.items():
        for sentence in sentences:
            add(sentence, where, None, ())
    return found, problems


def scripts() -> list[Path]:
    """Return the scripts that show texts."""
    every = [*sorted(STATIC.glob("js/*.js")), *sorted(STATIC.glob("pages/*.js"))]
    return [path for path in every if path.name not in NOT_READ]


def read(path: Path) -> dict[str, Any]:
    """Return a file of the catalogue."""
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


def languages() -> list[str]:
    """Return the languages that have a file, but English."""
    return sorted(path.stem for path in LOCALES.glob("*.json") if path != ENGLISH)


def english() -> dict[str, Any]:
    """Return what en.json should say, with the notes that it has."""
    notes = (
        {key: entry["note"] for key, entry in read(ENGLISH)["messages"].items() if "note" in entry}
        if ENGLISH.exists()
        else {}
    )
    texts, _ = collect()
    messages = {key: entry | ({"note": notes[key]} if key in notes else {}) for key, entry in texts.items()}
    return {"meta": {"language": "English"}, "messages": messages}


def written(value: dict[str, Any]) -> str:
    """Return a file of the catalogue: a line for each text, and no invisible characters."""

    def line(each: Any) -> str:
        return json.dumps(each, ensure_ascii=False).replace("\u00a0", "\\u00a0").replace("\u202f", "\\u202f")

    lines = [f"    {line(key)}: {line(entry)}" for key, entry in value["messages"].items()]
    return f'{{\n  "meta": {line(value["meta"])},\n  "messages": {{\n' + ",\n".join(lines) + "\n  }\n}\n"


def _is_filled(wording: Any) -> bool:
    return bool(wording) and (isinstance(wording, str) or all(wording.values()))


def missing(language: str) -> list[str]:
    """Return the texts that a language lacks."""
    has = read(LOCALES / f"{language}.json")["messages"]
    return [key for key in collect()[0] if not _is_filled(has.get(key))]


def problems_of(language: str) -> list[str]:
    """Return what is wrong with the translations that a language has: one line for each."""
    texts, _ = collect()
    found = []
    for key, wording in read(LOCALES / f"{language}.json")["messages"].items():
        if key not in texts:
            found.append(f"{language}: {key!r} is no text of the pages")
            continue
        if "one" not in texts[key]:
            if not isinstance(wording, str):
                found.append(f"{language}: {key!r} is one text, without plural forms")
            else:
                found += [f"{language}: {key!r}: {fault}" for fault in _faults(key, wording, is_form=False)]
            continue
        if not isinstance(wording, dict):
            found.append(f"{language}: {key!r} needs the plural forms {', '.join(FORMS[language])}")
            continue
        needed = {form for form in FORMS[language] if (language, form) not in MAY_LACK}
        if not needed <= wording.keys() <= set(FORMS[language]):
            found.append(f"{language}: {key!r} has the plural forms {', '.join(wording)}")
        for form in wording.values():
            found += [f"{language}: {key!r}: {fault}" for fault in _faults(key, form, is_form=True)]
    return found


def _faults(key: str, wording: str, *, is_form: bool) -> list[str]:
    wanted, given = Counter(_TOKEN.findall(key)), Counter(_TOKEN.findall(wording))
    faults = []
    if set(given) != set(wanted) and not (is_form and set(given) | {"{0}"} == set(wanted)):
        faults.append(f"has {sorted(given)}, not {sorted(wanted)}")
    tags = {tag: count for tag, count in given.items() if tag.startswith("<")}
    if any(count > 1 for count in tags.values()) or not _is_nested(wording):
        faults.append("its tags are not in order")
    if key[:1].isspace() != wording[:1].isspace() or key[-1:].isspace() != wording[-1:].isspace():
        faults.append("begins or ends with a blank where English does not, or does not where it does")
    return faults


def _is_nested(wording: str) -> bool:
    open_tags: list[str] = []
    for tag in re.findall(r"</?\d+/?>", wording):
        if tag.startswith("</"):
            if not open_tags or open_tags.pop() != tag[2:-1]:
                return False
        elif not tag.endswith("/>"):
            open_tags.append(tag[1:-1])
    return not open_tags


def _write_all() -> None:
    value = english()
    ENGLISH.write_text(written(value), "utf-8")
    for language in languages():
        path = LOCALES / f"{language}.json"
        theirs = read(path)
        known = {
            key: theirs["messages"][key] for key in value["messages"] if _is_filled(theirs["messages"].get(key))
        }
        path.write_text(written({"meta": theirs["meta"], "messages": known}), "utf-8")


def _template(language: str) -> str:
    texts, _ = collect()
    lacking = {key: dict.fromkeys(FORMS[language], "") if "one" in texts[key] else "" for key in missing(language)}
    return json.dumps(lacking, ensure_ascii=False, indent=1).replace("\u00a0", "\\u00a0")


def main(arguments: list[str]) -> int:
    """Do what the module says. Return the exit status."""
    match arguments:
        case []:
            _write_all()
        case ["missing", language]:
            print(_template(language))
            return 0
        case ["merge", language, name]:
            path = LOCALES / f"{language}.json"
            value = read(path)
            given = json.loads(Path(name).read_text("utf-8"))
            value["messages"] |= {key: wording for key, wording in given.items() if _is_filled(wording)}
            path.write_text(written(value), "utf-8")
            _write_all()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    found = [*collect()[1], *(line for language in languages() for line in problems_of(language))]
    for line in found:
        print(line)
    for language in languages():
        print(f"{language}: {len(missing(language))} of {len(collect()[0])} texts are missing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
