"""What is answered where there is nothing: JSON to programs, a page with navigation to browsers."""

from __future__ import annotations

from html import escape
from typing import Final

from twisted.web.http import NOT_FOUND
from twisted.web.server import Request
from typing_extensions import override

from p2pool.web.resources import GetResource, error

PAGES: Final = (
    ("index.html", "Dashboard"),
    ("miners.html", "Miners"),
    ("stratum.html", "Stratum"),
    ("blocks.html", "Blocks"),
    ("payouts.html", "Payouts"),
    ("chain.html", "Shares"),
    ("graphs.html", "Graphs"),
    ("peers.html", "Peers"),
    ("transition.html", "Votes"),
    ("events.html", "Events"),
    ("node.html", "Node"),
    ("help.html", "Help"),
)
"""The pages of the navigation, as web-static/js/shell.js has them: a test compares them."""
MAX_SHOWN: Final = 200
"""Characters of an address that the page repeats."""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Page not found &ndash; p2pool-dash</title>
<link rel="icon" href="{up}static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{up}static/style.css">
</head>
<body>
<header class="top"><div class="wrap top-in">
<a class="home" href="{up}static/index.html"><span>p2pool-dash</span></a>
<nav aria-label="Pages"><ul>{links}</ul></nav>
</div></header>
<main id="main" class="wrap">
<h1>Page not found</h1>
<p class="lead">This node has no page or API endpoint at <code>{path}</code>.</p>
<p><a href="{up}static/index.html">Go to the dashboard</a></p>
</main>
</body>
</html>
"""


def wants_page(accept: str | None) -> bool:
    """Return whether a client that sent this Accept header is a browser that shows a page to people."""
    return accept is not None and "text/html" in accept.lower()


def page(path: bytes) -> bytes:
    """Return the page for an address without anything. Its links are relative: a proxy may serve the site below a
    path."""
    up = "../" * max(0, path.count(b"/") - 1)
    shown = path[:MAX_SHOWN].decode("latin-1")
    links = "".join(f'<li><a href="{up}static/{file}">{title}</a></li>' for file, title in PAGES)
    return _PAGE.format(up=up, links=links, path=escape(shown)).encode()


class NotFound(GetResource):
    """What there is not, whatever is to be done with it."""

    methods: tuple[bytes, ...] | None = None

    @override
    def render(self, request: Request) -> bytes | int:
        return self.render_HEAD(request) if request.method == b"HEAD" else self.render_GET(request)

    @override
    def render_GET(self, request: Request) -> bytes | int:
        """Answer with a page or with JSON."""
        body = super().render_GET(request)
        request.setHeader(b"Vary", b"Accept")
        if request.method in (b"GET", b"HEAD") and wants_page(request.getHeader("accept")):
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            return page(request.path)
        return body

    @override
    def answer(self, request: Request) -> tuple[int, bytes]:
        return error(NOT_FOUND, "not_found", "there is no page or endpoint at this address")
