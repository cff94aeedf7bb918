"""What an endpoint of the JSON interface is: its row in the one table from which routing, the OpenAPI document and
docs/api.md follow (`table.ENDPOINTS`).

A view is rendered once a second, however many look. A look-up is made when asked for and costs no more than what
it tells, or what once a second may cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.web.http import BAD_REQUEST, NOT_FOUND, SERVICE_UNAVAILABLE

from p2pool.base.text import format_dash
from p2pool.node import Node
from p2pool.share.share import Share
from p2pool.web.api.schema import Schema, integer, text
from p2pool.web.host_shares import HostShares
from p2pool.web.resources import JSON_TYPE
from p2pool.web.sources import Moment, Sources

MAX_TEXT: Final = 200
"""Characters of a parameter: names of workers have up to 128."""


class Refused(Exception):
    """There is no answer to this: what the client is told instead. `code` is for programs and stays."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Refusal:
    """A way in which an endpoint refuses beside those of its parameters."""

    status: int
    code: str
    text: str

    def raised(self) -> Refused:
        """As what is raised."""
        return Refused(self.status, self.code, self.text)


STARTING: Final = Refusal(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")
UNKNOWN_SHARE: Final = Refusal(NOT_FOUND, "unknown_share", "the node holds no share with this hash")


MAX_QUESTIONS_PER_HOST: Final = 12
"""Questions to history of one host at a time, those that wait included: a page of graphs asks for six."""


class Scene:
    """What look-ups may look at: the sources as they are now, and the newest moment that views were made of.
    `client` is the host that asks."""

    def __init__(self, sources: Sources, client: str = "") -> None:
        self.sources = sources
        self.client = client
        self.newest: Moment | None = None
        self.questions = HostShares(MAX_QUESTIONS_PER_HOST)
        """Questions to history that are not answered yet."""

    def asked_by(self, client: str) -> Scene:
        """Return the same for a client's host."""
        scene = Scene(self.sources, client)
        scene.newest, scene.questions = self.newest, self.questions
        return scene

    @property
    def node(self) -> Node:
        """The node."""
        return self.sources.node

    @property
    def moment(self) -> Moment:
        """The newest moment. Raises Refused before the first."""
        if self.newest is None:
            raise STARTING.raised()
        return self.newest


Arguments = Mapping[str, Any]
View = Callable[[Moment], Any]
LookUp = Callable[[Scene, Arguments], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path, or of the query. `read` makes a value of the text, or raises ValueError; a text that it
    refuses is answered with `status`, `code` and `message`."""

    name: str
    schema: Schema
    read: Callable[[str], Any]
    code: str
    message: str
    in_path: bool = False
    default: Any = None
    status: int = BAD_REQUEST
    """Of a path that makes no sense: not found."""
    longest: int = MAX_TEXT
    """Characters."""

    def value(self, given: str) -> Any:
        """The value of a text. Raises Refused."""
        if len(given) <= self.longest:
            try:
                return self.read(given)
            except ValueError:
                pass
        raise Refused(self.status, self.code, self.message)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table. `path` has its parameters in braces, as OpenAPI does. Exactly one of `view`, `look_up`
    and `same_as` (the path whose answer it is, too) is given."""

    path: str
    summary: str
    schema: Schema
    view: View | None = None
    look_up: LookUp | None = None
    same_as: str = ""
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    content_type: bytes = JSON_TYPE

    @property
    def key(self) -> str:
        """The path without its first slash: a view is rendered under it."""
        return self.path[1:]

    @property
    def in_path(self) -> tuple[Parameter, ...]:
        """The parameters in the path, in their order."""
        return tuple(parameter for parameter in self.parameters if parameter.in_path)

    @property
    def in_query(self) -> tuple[Parameter, ...]:
        """Those in the query."""
        return tuple(parameter for parameter in self.parameters if not parameter.in_path)

    def every_refusal(self) -> list[Refusal]:
        """What it may answer beside 200."""
        of_parameters = [Refusal(each.status, each.code, each.message) for each in self.parameters]
        return [*of_parameters, *self.refusals, STARTING]


# --- parameters that several endpoints have -----------------------------------------------------------------

_DIGITS = re.compile(r"[0-9]{1,9}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")


def whole_number(name: str, description: str, low: int, high: int, default: int) -> Parameter:
    """A number in the query, `low` to `high`."""

    def read(given: str) -> int:
        if not _DIGITS.fullmatch(given) or not low <= int(given) <= high:
            raise ValueError
        return int(given)

    return Parameter(
        name,
        integer(description, minimum=low, maximum=high, default=default),
        read,
        f"bad_{name}",
        f"{name} is a number from {low} to {high}",
        default=default,
    )


def choice(
    name: str, description: str, choices: tuple[str, ...], default: str | None, in_path: bool = False
) -> Parameter:
    """One of a few words."""

    def read(given: str) -> str:
        if given not in choices:
            raise ValueError
        return given

    schema = text(description, enum=list(choices))
    if default is not None:
        schema["default"] = default
    code = f"unknown_{name}" if in_path else f"bad_{name}"
    status = NOT_FOUND if in_path else BAD_REQUEST
    return Parameter(name, schema, read, code, f"{name} is one of {', '.join(choices)}", in_path, default, status)


def free_text(name: str, description: str, in_path: bool = False) -> Parameter:
    """Any text that is not empty."""

    def read(given: str) -> str:
        if not given:
            raise ValueError
        return given

    return Parameter(
        name,
        text(description, minLength=1, maxLength=MAX_TEXT),
        read,
        f"bad_{name}",
        f"{name} is a text of 1 to {MAX_TEXT} characters",
        in_path,
        status=NOT_FOUND if in_path else BAD_REQUEST,
    )


def _read_hash(given: str) -> int:
    if not _HASH.fullmatch(given):
        raise ValueError
    return int(given, 16)


def share_hash(name: str, description: str, in_path: bool = True) -> Parameter:
    """A share's hash; a malformed one is not found, wherever it stands."""
    return Parameter(
        name,
        text(description, pattern="^[0-9a-fA-F]{64}$"),
        _read_hash,
        "not_a_hash",
        "a share hash has 64 hex digits",
        in_path,
        status=NOT_FOUND,
    )


OFFSET: Final = whole_number("offset", "number of entries to skip", 0, 100_000, 0)


def find_share(node: Node, wanted: int) -> Share:
    """A share that is held. Raises Refused."""
    share = node.tracker.get(wanted)
    if share is None:
        raise UNKNOWN_SHARE.raised()
    return share


def amount(duffs: int) -> dict[str, Any]:
    """An amount for JSON, exactly."""
    return {"dash": format_dash(duffs), "duffs": duffs}
