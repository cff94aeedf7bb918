"""The web site: resources over the rendered views, the share chain's inspection, the admin actions, and the static
pages. `request` holds the rules for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress
from twisted.web import resource, server
from twisted.web.server import Request

from p2pool.web.access import Access, AccessSettings
from p2pool.web.redirects import redirect
from p2pool.web.rendering import RunInThread
from p2pool.web.request import IDLE_TIME, WebChannel, WebRequest
from p2pool.web.resources import READING, RenderedResource
from p2pool.web.routing import Branch, api_resources
from p2pool.web.static_files import CUSTOM_PAGES_POLICY, NotFound, StaticFiles
from p2pool.web.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pool.web.admin import AdminResource

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class _Root(Branch):
    """The tree. The bare address leads to the first page."""

    methods = READING

    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Twisted's: a path without a child of its own."""
        return self if path == b"" and not request.postpath else NotFound()

    def render_GET(self, request: Request) -> bytes | int:
        """Twisted's."""
        return redirect(request, b"static/index.html")


class WebSite(server.Site):
    """The factory of web connections. Bound: a request's time, headers (Twisted's) and body; how many connections
    there are is the port's business.

    `live` is mounted at /ws; `run_in_thread` is for compressing large answers; `admin` are the actions, by name,
    none by default. `custom_pages` are an operator's own, which get CUSTOM_PAGES_POLICY.
    """

    noisy = False
    protocol = WebChannel  # type: ignore[assignment]

    def __init__(
        self,
        views: Views,
        web_static: Path,
        reactor: object,
        live: resource.Resource | None = None,
        access: Access | None = None,
        run_in_thread: RunInThread | None = None,
        admin: Mapping[str, AdminResource] | None = None,
        custom_pages: bool = False,
    ) -> None:
        self.access = access or Access(AccessSettings())
        root = _Root()
        for name, child in api_resources(views, run_in_thread).items():
            root.putChild(name, child)
        root.putChild(b"metrics", RenderedResource(lambda: views.metrics, _METRICS_TYPE, run_in_thread))
        policy = CUSTOM_PAGES_POLICY if custom_pages else None
        root.putChild(b"static", StaticFiles.below(str(web_static), run_in_thread, policy))
        if live is not None:
            root.putChild(b"ws", live)
        actions = _branch(root, b"api", b"v1", b"admin")
        for action_name, action in (admin or {}).items():
            actions.putChild(action_name.encode(), action)
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=WebRequest, timeout=IDLE_TIME, reactor=reactor
        )

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted's. The address is the one behind a PROXY header, which the transport does not know."""
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        channel.peer_host = str(getattr(addr, "host", ""))
        return channel

    def log(self, request: object) -> None:
        """Twisted's access log: none, polling pages would fill it."""


def _branch(root: resource.Resource, *names: bytes) -> resource.Resource:
    """The branch at a path, made where it is missing."""
    for name in names:
        below = root.children.get(name)
        if below is None:
            below = Branch()
            root.putChild(name, below)
        root = below
    return root
