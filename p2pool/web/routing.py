"""From the one table to resources: every path of the JSON interface, for the site to put at its root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import orjson
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web import resource
from twisted.web.server import Request
from typing_extensions import override

from p2pool.web.api.endpoint import Endpoint, EndpointError, EndpointParameter, RequestContext
from p2pool.web.api.table import ENDPOINTS
from p2pool.web.not_found import NotFound
from p2pool.web.openapi import document
from p2pool.web.rendering import RunInThread
from p2pool.web.request import client_host
from p2pool.web.resources import JSON_TYPE, GetResource, RenderedResource, answer_later, answer_now, error
from p2pool.web.views import Views

OPENAPI_PATH = "/api/openapi.json"


class Branch(NotFound):
    """A path that is nothing itself but has children; an unknown one is a JSON error."""

    isLeaf = False

    @override
    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Answer 404 for a path without a child of its own."""
        return NotFound()


class _LookUp(GetResource):
    """A path that is answered when asked for."""

    def __init__(self, endpoint: Endpoint, context: RequestContext) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._context = context
        self.content_type = endpoint.content_type

    @override
    def render_GET(self, request: Request) -> bytes | int:
        """Read the arguments, look up, and answer, now or later."""
        endpoint, context = self._endpoint, self._context.for_client(client_host(request))
        try:
            arguments = dict(_path_arguments(endpoint.in_path, request.postpath or []))
            arguments |= {each.name: _query_argument(each, request) for each in endpoint.in_query}
            found = endpoint.look_up(context, arguments) if endpoint.look_up is not None else None
        except EndpointError as refused:
            return answer_now(request, JSON_TYPE, _refusal(refused))
        if isinstance(found, Deferred):
            return answer_later(request, self.content_type, found.addCallbacks(_answer, _refused))
        status_of = endpoint.status_of
        status, body = _answer(found)
        return answer_now(request, self.content_type, (status if status_of is None else status_of(found), body))


def _answer(found: object) -> tuple[int, bytes]:
    return 200, found if isinstance(found, bytes) else orjson.dumps(found)


def _refusal(refused: EndpointError) -> tuple[int, bytes]:
    return error(refused.status, refused.code, refused.message)


def _refused(failure: Failure) -> tuple[int, bytes]:
    if not isinstance(failure.value, EndpointError):
        failure.raiseException()
    return _refusal(failure.value)


def _path_arguments(
    parameters: Sequence[EndpointParameter], given: Sequence[bytes]
) -> Iterable[tuple[str, object]]:
    """Yield (name, value) of the parameters in the path. What is left over belongs to the last one, so that a
    name with a slash is one name. Raises EndpointError."""
    for index, parameter in enumerate(parameters):
        last = index == len(parameters) - 1
        text = b"/".join(given[index:] if last else given[index : index + 1])
        yield parameter.name, parameter.value(_decoded(text, parameter))


def _query_argument(parameter: EndpointParameter, request: Request) -> object:
    """Return the value of a parameter in the query. Raises EndpointError, also if it was given twice."""
    given = (request.args or {}).get(parameter.name.encode())
    if given is None:
        return parameter.default
    return parameter.value(_decoded(given[0] if len(given) == 1 else b"\xff", parameter))


def _decoded(text: bytes, parameter: EndpointParameter) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise EndpointError(parameter.status, parameter.code, parameter.message) from None


class _Choice(GetResource):
    """Everything at and below one path: the endpoint without parameters in its path, if there is one, and those
    with one or two. A path with more parts than any of them goes to the one with most."""

    def __init__(self) -> None:
        super().__init__()
        self._by_parts: dict[int, GetResource] = {}

    def put(self, parts: int, answering: GetResource) -> None:
        """Answer a path of so many further parts."""
        self._by_parts[parts] = answering

    def _answering(self, request: Request) -> resource.Resource:
        given = request.postpath or []
        parts = 0 if given in ([], [b""]) else len(given)
        most, least = max(self._by_parts), min(self._by_parts)
        if parts > most:
            # A view has no parts, and none of them is the last one's.
            return self._by_parts[most] if most else NotFound()
        return self._by_parts.get(parts) or self._by_parts[least if parts < least else most]

    @override
    def render(self, request: Request) -> bytes | int:
        body: bytes | int = self._answering(request).render(request)
        return body


def api_resources(views: Views, run_in_thread: RunInThread | None = None) -> dict[bytes, resource.Resource]:
    """Return the resources of the JSON interface that the site puts at its root, by name."""
    context = views.context
    root = Branch()
    places: dict[str, _Choice] = {}
    for endpoint in ENDPOINTS:
        fixed = endpoint.path.partition("/{")[0]
        place = places.get(fixed)
        if place is None:
            place = places[fixed] = _Choice()
            put_at(root, fixed, place)
        answering = (
            _LookUp(endpoint, context)
            if endpoint.look_up
            else RenderedResource(partial(views.rendered.get, endpoint.key), run_in_thread=run_in_thread)
        )
        place.put(len(endpoint.in_path), answering)
    described = orjson.dumps(document(context.sources.version))
    put_at(root, OPENAPI_PATH, RenderedResource(lambda: described, run_in_thread=run_in_thread))
    return dict(root.children)


def put_at(root: resource.Resource, path: str, leaf: resource.Resource) -> None:
    """Put a resource at a path below `root`, with the branches that lead there."""
    *branches, name = path.strip("/").encode().split(b"/")
    branch_at(root, branches).putChild(name, leaf)


def branch_at(root: resource.Resource, names: Iterable[bytes]) -> resource.Resource:
    """Return the branch at a path below `root`; missing ones are made."""
    for name in names:
        below = root.children.get(name)
        if below is None:
            below = Branch()
            root.putChild(name, below)
        root = below
    return root
