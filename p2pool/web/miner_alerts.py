"""POST /api/v1/miner-alerts/...: miners set alerts for their addresses, confirm them and end them, without a key.

Browsers send JSON to another site only after asking for permission, which this node never gives for POST: so a
page of another site cannot press these buttons. A GET changes nothing: programs that open the links of messages to
scan them get a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson
from twisted.web import resource
from twisted.web.server import Request
from typing_extensions import override

from p2pool.alerts.miners.subscribing import Problem, RequestRefused
from p2pool.web.api.endpoint import ErrorResponse
from p2pool.web.api.miner_alerts import NOT_JSON, NOT_OFFERED, POSTS, STATUSES, PostEndpoint
from p2pool.web.not_found import NotFound
from p2pool.web.request import client_host
from p2pool.web.resources import JSON_TYPE, GetResource, StatusAndBody, answer_now, error


class MinerAlertsPort(Protocol):
    """What takes the requests. Each raises RequestRefused; `client` is the host of the client."""

    @property
    def is_offered(self) -> bool:
        """Return whether miners may set alerts."""

    def challenge(self, given: Mapping[str, Any], client: str) -> dict[str, Any]:
        """Return the text to be signed."""

    def subscribe(self, given: Mapping[str, Any], client: str) -> dict[str, Any]:
        """Set alerts for an address."""

    def confirm(self, token: str) -> dict[str, Any]:
        """Confirm the destination of a link."""

    def unsubscribe(self, token: str) -> dict[str, Any]:
        """End the alerts of a link."""


Act = Callable[[Mapping[str, Any], str], dict[str, Any]]


def miner_alerts_resource(port: MinerAlertsPort | None) -> resource.Resource:
    """Return the resource of /api/v1/miner-alerts with all below it. Without a port, or if it offers nothing, each
    answers that."""
    acts: dict[str, Act] = {}
    if port is not None and port.is_offered:
        acts = {
            "challenge": port.challenge,
            "": port.subscribe,
            "confirm": lambda given, client: port.confirm(_token(given)),
            "unsubscribe": lambda given, client: port.unsubscribe(_token(given)),
        }
    by_name = {each.name: _Posting(each, acts.get(each.name)) for each in POSTS}
    root = by_name.pop("")
    for name, each in by_name.items():
        root.putChild(name.encode(), each)
    return root


def _token(given: Mapping[str, Any]) -> str:
    token = given.get("token")
    if not isinstance(token, str) or len(token) > 100:
        raise RequestRefused(Problem.BAD_REQUEST, "token must be the text that follows the = in the link")
    return token


class _Posting(GetResource):
    """One path; `act` is None if alerts are not offered."""

    isLeaf = False
    methods = (b"POST",)

    def __init__(self, endpoint: PostEndpoint, act: Act | None) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._act = act

    @override
    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Answer 404 for what is not below this path."""
        return NotFound()

    def render_POST(self, request: Request) -> bytes | int:
        """Check the request, act, and answer."""
        return answer_now(request, JSON_TYPE, self._answer(request))

    def _answer(self, request: Request) -> StatusAndBody:
        if self._act is None:
            return _refusal(NOT_OFFERED)
        kinds = request.requestHeaders.getRawHeaders(b"content-type", [b""])
        if kinds[0].partition(b";")[0].strip().lower() != b"application/json":
            return _refusal(NOT_JSON)
        try:
            given = orjson.loads(b"" if request.content is None else request.content.read())
        except orjson.JSONDecodeError:
            given = None
        try:
            if not isinstance(given, dict):
                raise RequestRefused(Problem.BAD_REQUEST, "the body is not a JSON object")
            for name in given:
                if name not in self._endpoint.request["properties"]:
                    raise RequestRefused(Problem.BAD_REQUEST, "there is a field that is not known here")
            return 200, orjson.dumps(self._act(given, client_host(request)))
        except RequestRefused as refused:
            return error(STATUSES[refused.problem], refused.problem.value, refused.text)


def _refusal(response: ErrorResponse) -> StatusAndBody:
    return error(response.status, response.code, response.text)
