"""What an endpoint of the JSON interface is: its row in the one table from which routing, the OpenAPI document and
docs/api.md follow (`table.ENDPOINTS`).

A view is rendered once a second, however many clients ask. A look-up is made on request and costs no more than the
size of its answer, or what once a second may cost.
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
from p2pool.web.sources import Snapshot, Sources

MAX_TEXT: Final = 200
"""Characters of a parameter: names of workers have up to 128."""


class EndpointError(Exception):
    """An error that the client is sent instead of an answer. `code` is for programs and never changes."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error that an endpoint may answer in addition to those of its parameters."""

    status: int
    code: str
    text: str

    def exception(self) -> EndpointError:
        """Return the exception that answers this error."""
        return EndpointError(self.status, self.code, self.text)


STARTING: Final = ErrorResponse(SERVICE_UNAVAILABLE, "starting", "the node is starting; try again in a second")
UNKNOWN_SHARE: Final = ErrorResponse(NOT_FOUND, "unknown_share", "this node does not hold a share with this hash")


MAX_QUESTIONS_PER_HOST: Final = 12
"""Questions to history of one host at a time, those that wait included: a page of graphs asks for six."""


class RequestContext:
    """What a look-up works with: the sources as they are now, and the newest snapshot that views were rendered
    from. `client` is the host of the client."""

    def __init__(self, sources: Sources, client: str = "") -> None:
        self.sources = sources
        self.client = client
        self.newest: Snapshot | None = None
        self.questions = HostShares(MAX_QUESTIONS_PER_HOST)
        """Questions to history that are not answered yet."""

    def for_client(self, client: str) -> RequestContext:
        """Return a copy for requests from a client's host; the count of unanswered questions is shared."""
        context = RequestContext(self.sources, client)
        context.newest, context.questions = self.newest, self.questions
        return context

    @property
    def node(self) -> Node:
        """Return the node that the sources belong to."""
        return self.sources.node

    @property
    def snapshot(self) -> Snapshot:
        """Return the newest snapshot. Raises EndpointError before the first."""
        if self.newest is None:
            raise STARTING.exception()
        return self.newest


Arguments = Mapping[str, Any]
View = Callable[[Snapshot], Any]
LookUp = Callable[[RequestContext, Arguments], Any]


@dataclass(frozen=True, slots=True)
class EndpointParameter:
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
        """Return the value of a text. Raises EndpointError."""
        if len(given) <= self.longest:
            try:
                return self.read(given)
            except ValueError:
                pass
        raise EndpointError(self.status, self.code, self.message)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table. `path` has its parameters in braces, as OpenAPI does. Exactly one of `view`, `look_up`
    and `same_as` (the path that has the same answer) is given."""

    path: str
    summary: str
    schema: Schema
    view: View | None = None
    look_up: LookUp | None = None
    same_as: str = ""
    parameters: tuple[EndpointParameter, ...] = ()
    refusals: tuple[ErrorResponse, ...] = ()
    content_type: bytes = JSON_TYPE
    answers_always: bool = False
    """Whether it is answered in any state of the node, also before the first figures."""
    status_of: Callable[[Any], int] | None = None
    """Of a look-up: the HTTP status of an answer, 200 or 503; None if it is always 200."""

    @property
    def key(self) -> str:
        """Return the path without its first slash: a view is rendered under it."""
        return self.path[1:]

    @property
    def in_path(self) -> tuple[EndpointParameter, ...]:
        """Return the parameters in the path, in their order."""
        return tuple(parameter for parameter in self.parameters if parameter.in_path)

    @property
    def in_query(self) -> tuple[EndpointParameter, ...]:
        """Return the parameters in the query."""
        return tuple(parameter for parameter in self.parameters if not parameter.in_path)

    def every_error(self) -> list[ErrorResponse]:
        """Return all errors that the endpoint may answer."""
        of_parameters = [ErrorResponse(each.status, each.code, each.message) for each in self.parameters]
        return [*of_parameters, *self.refusals, *(() if self.answers_always else (STARTING,))]


# --- parameters that several endpoints have -----------------------------------------------------------------

_DIGITS = re.compile(r"[0-9]{1,9}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")


def whole_number(name: str, description: str, *, low: int, high: int, default: int) -> EndpointParameter:
    """Declare a number in the query, from `low` to `high`."""

    def read(given: str) -> int:
        if not _DIGITS.fullmatch(given) or not low <= int(given) <= high:
            raise ValueError
        return int(given)

    return EndpointParameter(
        name,
        integer(description, minimum=low, maximum=high, default=default),
        read,
        f"bad_{name}",
        f"{name} must be a whole number from {low} to {high}",
        default=default,
    )


def choice(
    name: str, description: str, choices: tuple[str, ...], *, default: str | None, in_path: bool = False
) -> EndpointParameter:
    """Declare a parameter that is one of a few words."""

    def read(given: str) -> str:
        if given not in choices:
            raise ValueError
        return given

    schema = text(description, enum=list(choices))
    if default is not None:
        schema["default"] = default
    code = f"unknown_{name}" if in_path else f"bad_{name}"
    status = NOT_FOUND if in_path else BAD_REQUEST
    return EndpointParameter(
        name, schema, read, code, f"{name} must be one of {', '.join(choices)}", in_path, default, status
    )


def free_text(name: str, description: str, in_path: bool = False) -> EndpointParameter:
    """Declare a parameter that is any text but the empty one."""

    def read(given: str) -> str:
        if not given:
            raise ValueError
        return given

    return EndpointParameter(
        name,
        text(description, minLength=1, maxLength=MAX_TEXT),
        read,
        f"bad_{name}",
        f"{name} must have 1 to {MAX_TEXT} characters",
        in_path,
        status=NOT_FOUND if in_path else BAD_REQUEST,
    )


def _read_hash(given: str) -> int:
    if not _HASH.fullmatch(given):
        raise ValueError
    return int(given, 16)


def share_hash(name: str, description: str, in_path: bool = True) -> EndpointParameter:
    """Declare a share's hash; a malformed one is not found, in the path as well as in the query."""
    return EndpointParameter(
        name,
        text(description, pattern="^[0-9a-fA-F]{64}$"),
        _read_hash,
        "not_a_hash",
        "a share hash must have 64 hex digits",
        in_path,
        status=NOT_FOUND,
    )


OFFSET: Final = whole_number("offset", "number of entries to skip", low=0, high=100_000, default=0)


def find_share(node: Node, share_hash: int) -> Share:
    """Return a share that is held. Raises EndpointError."""
    share = node.tracker.get(share_hash)
    if share is None:
        raise UNKNOWN_SHARE.exception()
    return share


def amount(duffs: int) -> dict[str, Any]:
    """Return an amount for JSON, exactly."""
    return {"dash": format_dash(duffs), "duffs": duffs}
