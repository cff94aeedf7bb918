"""POST /api/v1/admin/...: actions of an operator on miners and the log, and tests of alerts, with an API key.

A table of actions: the fields of each one's JSON object, and the method of the port that does it. `access` has
admitted the request; here it is checked against the table, carried out, and written to the audit log.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import BAD_REQUEST, FORBIDDEN, INTERNAL_SERVER_ERROR, UNSUPPORTED_MEDIA_TYPE
from twisted.web.server import NOT_DONE_YET, Request

from p2pool.base.text import excerpt, printable
from p2pool.web.access import HOW_TO_CONFIGURE
from p2pool.web.audit import AuditLog
from p2pool.web.request import WebRequest
from p2pool.web.resources import JSON_TYPE, GetResource, answer_now, error

_log = Logger(namespace="p2pool.web")
LOG_LEVELS = ("debug", "info", "warn", "error", "critical")


class Ban(Protocol):
    """A ban as the port returns it: of a host, until a time in Unix seconds."""

    @property
    def host(self) -> str:
        """Return an IPv4 address, or an IPv6 /64."""

    @property
    def until(self) -> float:
        """Return when the ban ends, Unix seconds."""


class OperatorPort(Protocol):
    """What an operator can do to miners. An invalid argument raises ValueError with a text for people."""

    def show_message(self, text: str, worker: str | None = None) -> int:
        """Show a text on miners' displays; return to how many connections it was sent."""

    def reconnect(self, *, host: str = "", port: int = 0, wait: int = 0, worker: str | None = None) -> int:
        """Ask miners to reconnect; return how many connections were asked."""

    def set_version_mask(self, mask: int) -> int:
        """Set the version bits that miners may roll; return how many connections it concerns."""

    def ban(self, host: str, seconds: float, reason: str = ...) -> Ban:
        """Ban an address of miners."""

    def unban(self, host: str) -> bool:
        """Lift a ban; return whether the host was banned."""


class Gateways(Protocol):
    """The gateways of the pool, which have miners of their own."""

    def carry_out(self, action: str, given: dict[str, Any]) -> Deferred[dict[str, object]]:
        """Have all gateways do what the node has just done; the Deferred fires with whom it reached, as JSON."""


class AlertTester(Protocol):
    """Alerts that can be tested."""

    def test(self, destination: str) -> Deferred[dict[str, object]]:
        """Deliver a test message to one destination or to "all"; the Deferred fires with the results as JSON.
        Raises ValueError, with a text for people, if there is no such destination."""


class _BadField(ValueError):
    """A parameter that is not what it has to be."""


Result = dict[str, object]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an action's object. `read` makes of the JSON value what the port takes; raises ValueError."""

    read: Callable[[Any], Any]
    what: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """`act` gets the fields that were given, and returns what is answered besides the action's name, now or
    later."""

    summary: str
    fields: Mapping[str, Field]
    act: Callable[..., Result | Deferred[Result]]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _BadField
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _BadField
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BadField
    return float(value)


def _mask(value: Any) -> int:
    if isinstance(value, str):
        digits = value.lower().removeprefix("0x")
        if not 1 <= len(digits) <= 8 or set(digits) - set("0123456789abcdef"):
            raise _BadField
        return int(digits, 16)
    return _whole(value)


def _address(value: Any) -> str:
    text = _text(value)
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _BadField from None
    return text


def _level(value: Any) -> str:
    if value not in LOG_LEVELS:
        raise _BadField
    return str(value)


def admin_actions(
    operator: OperatorPort, set_log_level: Callable[[str], None], alerts: AlertTester | None = None
) -> dict[str, Action]:
    """Return all actions by name; those of alerts only if `alerts` is given."""
    text, worker = Field(_text, "text"), Field(_text, "ADDRESS.NAME", required=False)

    def ban(**given: Any) -> dict[str, object]:
        made = operator.ban(**given)
        return {"host": made.host, "until": made.until}

    def log_level(level: str) -> dict[str, object]:
        set_log_level(level)
        return {"level": level}

    actions = {
        "message": Action(
            "show a message on miners' displays",
            {"text": text, "worker": worker},
            lambda **given: {"connections": operator.show_message(**given)},
        ),
        "reconnect": Action(
            "ask miners to reconnect after wait seconds, to another pool if host and port are given",
            {
                "host": Field(_text, "a host name or address", required=False),
                "port": Field(_whole, "a number", required=False),
                "wait": Field(_whole, "a whole number of seconds", required=False),
                "worker": worker,
            },
            lambda **given: {"connections": operator.reconnect(**given)},
        ),
        "version-mask": Action(
            "set the header version bits that miners may roll",
            {"mask": Field(_mask, "32 bits, as up to eight hexadecimal digits or as a number")},
            lambda mask: {"connections": operator.set_version_mask(mask)},
        ),
        "ban": Action(
            "ban a host and close its miners' connections",
            {
                "host": Field(_address, "an IP address"),
                "seconds": Field(_seconds, "a number"),
                "reason": Field(_text, "text", required=False),
            },
            ban,
        ),
        "unban": Action(
            "unban a host",
            {"host": Field(_address, "an IP address")},
            lambda host: {"was_banned": operator.unban(host)},
        ),
        "log-level": Action(
            "set the log level until the next start",
            {"level": Field(_level, "one of " + ", ".join(LOG_LEVELS))},
            log_level,
        ),
    }
    if alerts is not None:
        destination = Field(_text, "the id of a destination (see /api/v1/alerts), or all")
        summary = "send a test message at once, and return the destination's answer"
        actions["alert-test"] = Action(summary, {"destination": destination}, alerts.test)
    return actions


_ON_MINERS = ("message", "reconnect", "version-mask", "ban", "unban")


def with_gateways(actions: Mapping[str, Action], gateways: Gateways) -> dict[str, Action]:
    """Return the actions; those on miners are done by all gateways too, and the answer says whom they reached."""

    def shared(name: str, action: Action) -> Action:
        def act(**given: Any) -> Result | Deferred[Result]:
            own = action.act(**given)
            if isinstance(own, Deferred):
                return own
            return gateways.carry_out(name, given).addCallback(lambda reached: own | reached)

        return replace(action, act=act)

    return {name: shared(name, each) if name in _ON_MINERS else each for name, each in actions.items()}


class AdminResource(GetResource):
    """The address of one admin action."""

    methods = (b"POST",)

    def __init__(self, name: str, action: Action, audit: AuditLog) -> None:
        super().__init__()
        self._name = name
        self._action = action
        self._audit = audit

    def render_POST(self, request: Request) -> bytes | int:
        """Check the request, do the action, and answer, now or when it is done."""
        answer = self._act(request)
        if isinstance(answer, tuple):
            return answer_now(request, JSON_TYPE, answer)
        _Later(request, answer)
        return NOT_DONE_YET

    def _act(self, request: Request) -> tuple[int, bytes] | Deferred[tuple[int, bytes]]:
        """Carry out the action, and write the request and its result to the audit log."""
        admitted = request.admitted if isinstance(request, WebRequest) else None
        if admitted is None or admitted.key is None:  # `access` checks this; this is the second check
            return error(FORBIDDEN, "no_api_key_configured", HOW_TO_CONFIGURE)
        client, key = admitted.client, admitted.key
        body = b"" if request.content is None else request.content.read()
        kinds = request.requestHeaders.getRawHeaders(b"content-type", [b""])
        parameters: dict[str, object] = {}

        def record(outcome: str) -> None:
            self._audit.record(client=client, key=key, action=self._name, parameters=parameters, outcome=outcome)

        if kinds[0].partition(b";")[0].strip().lower() != b"application/json":
            refusal = (
                UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "send a JSON object with the content type application/json",
            )
        else:
            try:
                parameters = _object_of(body)
                result = self._action.act(**_read(self._action.fields, parameters))
            except ValueError as refused:
                refusal = BAD_REQUEST, "bad_request", printable(str(refused), 300)
            except Exception:
                record("failed")
                raise
            else:
                if isinstance(result, Deferred):
                    return self._later(result, record)
                return self._done(result, record)
        record(f"refused: {refusal[2]}")
        return error(*refusal)

    def _done(self, result: Result, record: Callable[[str], None]) -> tuple[int, bytes]:
        record("done")
        return 200, orjson.dumps({"action": self._name} | result)

    def _later(self, result: Deferred[Result], record: Callable[[str], None]) -> Deferred[tuple[int, bytes]]:
        def failed(failure: Failure) -> tuple[int, bytes]:
            record("failed")
            _log.failure("internal error: admin action {name} failed", failure, name=self._name)
            return error(INTERNAL_SERVER_ERROR, "internal", "internal error of the node; its log says why")

        return result.addCallbacks(lambda value: self._done(value, record), failed)


class _Later:
    """A request that is answered when its action is done, if its client still waits then."""

    def __init__(self, request: Request, answer: Deferred[tuple[int, bytes]]) -> None:
        self._request: Request | None = request
        request.notifyFinish().addBoth(self._over)
        answer.addCallback(self._answer)

    def _over(self, _: object) -> None:
        self._request = None

    def _answer(self, answer: tuple[int, bytes]) -> None:
        request = self._request
        if request is not None:
            body = answer_now(request, JSON_TYPE, answer)
            request.setHeader(b"Content-Length", b"%d" % len(body))
            request.write(body)
            request.finish()


def _object_of(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body. Raises ValueError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"the body is not a JSON object: {excerpt(value)}")
    return value


def _read(fields: Mapping[str, Field], given: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields as the port takes them; null is the same as absent. Raises ValueError."""
    named = ", ".join(fields)
    for name in given:
        if name not in fields:
            raise ValueError(f"unknown field {excerpt(name)}; known fields: {named}")
    read: dict[str, Any] = {}
    for name, field in fields.items():
        value = given.get(name)
        if value is None:
            if field.required:
                raise ValueError(f"{name} is missing; it must be {field.what}")
            continue
        try:
            read[name] = field.read(value)
        except _BadField:
            raise ValueError(f"{name} {excerpt(value)} is not valid; it must be {field.what}") from None
    return read
