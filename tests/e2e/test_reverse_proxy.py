"""The node behind Debian's nginx, set up as the operator's guide says: at the root of a site and below a path.
Skipped where there is no nginx."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from p2pool.net.tls import make_self_signed
from tests.e2e.process import NodeProcess, free_port, wait_for
from tests.e2e.test_live_page import browser, needs_chromium
from tests.e2e.websocket_client import Refused, WebSocket
from tests.support import ROOT

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine (apt install nginx-light)"),
]
KEY = "end-to-end-0123456789"
HOST = "pool.example.org"


def guide_blocks(language: str) -> list[str]:
    """The fenced blocks of the guide that nginx is told of."""
    text = (ROOT / "docs" / "operators.md").read_text("utf-8")
    part = text.partition("### Reverse proxy\n")[2].partition("\n### ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with other ports and paths; what is to be replaced must be there."""
    for old, new in pairs:
        assert old in text, f"the guide's block has no {old!r}"
        text = text.replace(old, new)
    return text


class Site:
    """A node, and nginx before it."""

    def __init__(self, directory: Path) -> None:
        self.port, web_port = free_port(), free_port()
        self.certificate = directory / "cert.pem"
        make_self_signed(self.certificate, directory / "key.pem", names=["127.0.0.1", HOST], now=time.time())
        [settings] = guide_blocks("toml")
        settings = replaced(settings, ("127.0.0.1:7980", f"127.0.0.1:{web_port}"))
        assert tomllib.loads(settings)["web-host"] == [HOST]
        (directory / "p2pool.toml").write_text(settings)
        server, location = guide_blocks("nginx")
        server = server.rstrip().removesuffix("}") + location + "}\n"
        server = replaced(
            server,
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (f"/etc/letsencrypt/live/{HOST}/fullchain.pem", str(self.certificate)),
            (f"/etc/letsencrypt/live/{HOST}/privkey.pem", str(directory / "key.pem")),
            ("127.0.0.1:7980", f"127.0.0.1:{web_port}"),
        )
        (directory / "nginx.conf").write_text(f"""
            daemon off;
            pid {directory}/nginx.pid;
            error_log {directory}/error.log;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {directory}/body;
                proxy_temp_path {directory}/proxy;
                fastcgi_temp_path {directory}/fastcgi;
                uwsgi_temp_path {directory}/uwsgi;
                scgi_temp_path {directory}/scgi;
                {server}
            }}
        """)
        self.node = NodeProcess(
            directory,
            *("--config", str(directory / "p2pool.toml"), "--api-key", KEY),
            *("--simnet-miners", "0", "--outgoing-conns", "0"),
        )
        self.audit = directory / "data" / "simnet" / "audit.log"
        self.tls = ssl.create_default_context(cafile=str(self.certificate))
        command = [str(NGINX), "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]
        with open(directory / "nginx.out", "wb") as output:
            self.nginx = subprocess.Popen(command, stdout=output, stderr=output)

    def stop(self) -> None:
        self.nginx.terminate()
        self.nginx.wait(30)

    def ask(self, path: str, method: str = "GET", host: str = HOST, **more: Any) -> requests.Response:
        """An answer through nginx, asked for under the site's name."""
        headers = {"Host": host, **more.pop("headers", {})}
        return requests.request(
            *(method, f"https://127.0.0.1:{self.port}{path}"),
            headers=headers,
            verify=str(self.certificate),
            allow_redirects=False,
            timeout=30,
            **more,
        )

    def follow(self, path: str) -> str:
        """The path where redirects end, as a browser follows them."""
        for _ in range(5):
            answer = self.ask(path)
            if answer.status_code not in (301, 302):
                assert answer.status_code == 200, (path, answer.status_code)
                return path
            where = urljoin(f"https://{HOST}{path}", answer.headers["Location"])
            # nginx names its own port in its own redirects, as it listens on another one than 443 here.
            path = where.removeprefix(f"https://{HOST}:{self.port}").removeprefix(f"https://{HOST}")
            assert path.startswith("/"), where
        raise AssertionError("redirects without end")

    def listen(self, path: str, *, host: str = HOST, origin: str | None = None) -> WebSocket:
        headers = [] if origin is None else [f"Origin: {origin}"]
        return WebSocket(self.port, path, *headers, tls=self.tls, host=host)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    started = Site(tmp_path_factory.mktemp("proxy"))
    try:
        with started.node as node:
            node.wait_for_line("dashboard: http://127.0.0.1:")
            wait_for("figures", lambda: _is_up(started))
            yield started
            node.interrupt()
            assert "Traceback" not in node.output
    finally:
        started.stop()


def _is_up(site: Site) -> bool:
    try:
        return site.ask("/local_stats").status_code == 200
    except requests.ConnectionError:
        assert site.nginx.poll() is None, "nginx has ended"
        return False


@pytest.mark.parametrize("prefix", ["", "/pool"])
def test_pages_redirects_and_figures(site, prefix):
    for path in ("/", "/?a=b", "/static", "/static/", "/static/dashboard.html"):
        assert site.follow(prefix + path).startswith(prefix + "/static/")
    assert site.ask(prefix + "/").headers["Location"] == (
        prefix + "/static/index.html" if prefix else "static/index.html"
    )
    if prefix:
        assert site.follow(prefix) == prefix + "/static/index.html"
    page = site.ask(prefix + "/static/index.html")
    references = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    assert len(references) > 10
    for reference in references:
        path = urljoin(prefix + "/static/index.html", reference)
        assert path.startswith(prefix + "/")
        assert site.ask(path).status_code == 200, path
    described = site.ask(prefix + "/api/openapi.json").json()
    base = urljoin(f"https://{HOST}{prefix}/api/openapi.json", described["servers"][0]["url"])
    assert base == f"https://{HOST}{prefix}/"


@pytest.mark.parametrize("prefix", ["", "/pool"])
def test_live_updates_are_for_pages_of_this_site(site, prefix):
    with site.listen(prefix + "/ws", origin=f"https://{HOST}") as live:
        assert "local_stats" in live.wait_for(type="snapshot")["views"]
    for host, origin in ((HOST, "https://evil.example"), ("evil.example", "https://evil.example")):
        with pytest.raises(Refused) as refused:
            site.listen(prefix + "/ws", host=host, origin=origin)
        assert refused.value.status == 403


@pytest.mark.parametrize("prefix", ["", "/pool"])
def test_an_operator_acts_through_the_proxy_under_known_names_only(site, prefix):
    path, key = prefix + "/api/v1/admin/unban", {"X-API-Key": KEY}
    before = _audited(site)
    answer = site.ask(path, "POST", json={"host": "192.0.2.1"}, headers=key)
    assert answer.json() == {"action": "unban", "was_banned": False}
    assert site.ask(path, "POST", json={"host": "192.0.2.1"}, headers=key, host="evil.example").status_code == 403
    forwarded = {**key, "X-Forwarded-Host": "evil.example"}  # nginx passes it on
    assert site.ask(path, "POST", json={"host": "192.0.2.1"}, headers=forwarded).status_code == 403
    wait_for("the audit log's line", lambda: _audited(site) > before)
    assert _audited(site) == before + 1


def _audited(site: Site) -> int:
    return len(site.audit.read_text().splitlines()) if site.audit.exists() else 0


def test_a_prefix_that_a_client_invents_leads_nowhere_else(site):
    for prefix in ("//evil.example", "https://evil.example/"):
        answer = site.ask("/", headers={"X-Forwarded-Prefix": prefix})
        assert answer.headers["Location"] == "static/index.html"
        assert site.ask("/pool/", headers={"X-Forwarded-Prefix": prefix}).headers["Location"].startswith("/pool/")


@needs_chromium
def test_the_first_page_below_a_path_is_live_in_a_browser(site, tmp_path):
    with browser(tmp_path) as page:
        page.ask("Security.setIgnoreCertificateErrors", ignore=True)
        page.ask("Page.navigate", url=f"https://127.0.0.1:{site.port}/pool/")
        wait_for("live page", lambda: page.text("live").startswith("Live, "))
        page.wait_for_change("n-uptime")
        assert page.tell("location.pathname") == "/pool/static/index.html"
        assert page.asked_for() == []  # it came over the WebSocket
