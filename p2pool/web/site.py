"""The web site: resources for the rendered views, the look-ups, the admin actions and the static pages. `request`
holds the rules for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IAddress
from twisted.web import resource, server
from twisted.web.server import Request

from p2pool.base.environment import Environment
from p2pool.web.access import Access, AccessSettings
from p2pool.web.admin import AdminResource
from p2pool.web.miner_alerts import MinerAlertsPort, miner_alerts_resource
from p2pool.web.not_found import NotFound
from p2pool.web.redirects import redirect
from p2pool.web.request import IDLE_TIME, WebChannel, WebRequest
from p2pool.web.resources import GetResource, RenderedResource
from p2pool.web.routing import Branch, api_resources, branch_at
from p2pool.web.static_files import CUSTOM_PAGES_POLICY, StaticFiles
from p2pool.web.views import Views

METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


FIRST_PAGE: Final = b"index.html"
OTHER_NAMES: Final = {b"shares": b"chain", b"votes": b"transition", b"workers": b"miners"}
"""Names that people may try for a page, because the navigation or other front ends have them."""
_PAGE_NAME = re.compile(rb"([a-z0-9_-]{1,40})(?:\.html)?")
ROBOTS: Final = b"User-agent: *\nAllow: /$\nAllow: /static/\nDisallow: /\n"
"""Search engines may list pages; nobody finds anything in the JSON."""


class _Redirect(GetResource):
    """An address that redirects to a file of the pages."""

    def __init__(self, file: bytes) -> None:
        super().__init__()
        self._file = file

    def render_GET(self, request: Request) -> bytes | int:
        """Redirect to the file, with the query."""
        return redirect(request, b"static/" + self._file)


class _Root(Branch):
    """The root of the resource tree. The bare address redirects to the first page, and the name of a page, with or
    without .html, to that page."""

    def __init__(self, pages: Path) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Request) -> resource.Resource:
        """Return the resource of a path without a child of its own."""
        if request.postpath:
            return NotFound()
        if path == b"":
            return _Redirect(FIRST_PAGE)
        if path == b"favicon.ico":
            return _Redirect(b"favicon.ico" if self._has(b"favicon.ico") else b"favicon.svg")
        match = _PAGE_NAME.fullmatch(path)
        if match is None:
            return NotFound()
        file = OTHER_NAMES.get(match[1], match[1]) + b".html"
        return _Redirect(file) if self._has(file) else NotFound()

    def _has(self, file: bytes) -> bool:
        return (self._pages / file.decode()).is_file()


class GuardedSite(server.Site):
    """A factory of web connections whose requests `access` allows or rejects. Bound: a request's time, headers (by
    Twisted) and body; the port limits the number of connections."""

    noisy = False
    protocol = WebChannel  # type: ignore[assignment]

    def __init__(self, environment: Environment, root: resource.Resource, access: Access | None = None) -> None:
        self.access = access or Access(AccessSettings())
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=WebRequest, timeout=IDLE_TIME, reactor=environment.reactor
        )

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Build a channel that knows the client's address, also one from a PROXY header, which the transport
        has not."""
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        channel.peer_host = str(getattr(addr, "host", ""))
        return channel

    def log(self, request: object) -> None:
        """Write no access log: polling pages would fill it."""


class WebSite(GuardedSite):
    """The web site of a node.

    `live` is mounted at /ws; `admin` are the actions by name, none by default; `miner_alerts` takes the requests
    of miners for alerts. With `custom_pages` the files are an operator's own, which get CUSTOM_PAGES_POLICY. Large
    answers are compressed in a thread.
    """

    def __init__(
        self,
        environment: Environment,
        views: Views,
        web_static: Path,
        *,
        live: resource.Resource | None = None,
        access: Access | None = None,
        admin: Mapping[str, AdminResource] | None = None,
        miner_alerts: MinerAlertsPort | None = None,
        custom_pages: bool = False,
    ) -> None:
        run_in_thread = environment.run_in_thread
        root = _Root(web_static)
        for name, child in api_resources(views, run_in_thread).items():
            root.putChild(name, child)
        root.putChild(b"robots.txt", RenderedResource(lambda: ROBOTS, b"text/plain; charset=utf-8", run_in_thread))
        root.putChild(b"metrics", RenderedResource(lambda: views.metrics, METRICS_TYPE, run_in_thread))
        policy = CUSTOM_PAGES_POLICY if custom_pages else None
        root.putChild(b"static", StaticFiles.below(str(web_static), run_in_thread, policy))
        if live is not None:
            root.putChild(b"ws", live)
        actions = branch_at(root, (b"api", b"v1", b"admin"))
        for action_name, action in (admin or {}).items():
            actions.putChild(action_name.encode(), action)
        branch_at(root, (b"api", b"v1")).putChild(b"miner-alerts", miner_alerts_resource(miner_alerts))
        super().__init__(environment, root, access)
