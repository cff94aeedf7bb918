"""The web put together: which port it is on, what is encrypted, and that actions reach the operator and the audit
log."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory

from p2pool.app.config import load_config
from p2pool.app.web import CERTIFICATE_PERIOD, WebAssembly, apply_keys, web_access
from p2pool.base.errors import OperatorError
from p2pool.net.first_bytes import HintFactory
from p2pool.net.worker_port import WebPort
from p2pool.web.access import AccessDenied, AccessRequest, Admitted
from p2pool.web.site import WebSite
from tests.chains import NOW
from tests.environment import make_environment
from tests.logged import logged
from tests.web.guarded import KEY, FakeOperator, Threads
from tests.web.pages import Pool


class Web:
    """Pages over a reactor in memory."""

    def __init__(self, directory, *flags: str) -> None:
        config = load_config(["--net", "simnet", "--datadir", str(directory), *flags], directory, {})
        self.data = directory / "simnet"
        self.reactor, self.operator, self.threads = MemoryReactorClock(), FakeOperator(), Threads()
        self.pool = Pool()
        self.pages = WebAssembly(
            make_environment(self.reactor, clock=lambda: NOW, run_in_thread=self.threads),
            config,
            operator=self.operator,
            set_log_level=self.operator.set_log_level,
        )
        self.at_worker_port = self.pages.listen(self.pool.views, directory)


def test_without_a_port_of_its_own_the_site_is_on_the_worker_port(tmp_path):
    web = Web(tmp_path)
    assert isinstance(web.at_worker_port, WebSite)
    assert web.at_worker_port.access is web.pages.access
    assert web.reactor.tcpServers == []
    assert web.pages.url is None


@pytest.mark.parametrize(("where", "interface", "url"), [("7", "::", "127.0.0.1"), ("[::1]:7", "::1", "[::1]")])
def test_a_port_of_its_own(tmp_path, where, interface, url):
    web = Web(tmp_path, "--web-port", where)
    assert isinstance(web.at_worker_port, HintFactory)
    ((port, factory, _, listening),) = web.reactor.tcpServers
    assert (port, listening) == (7, interface)
    assert isinstance(factory, WebPort)
    assert isinstance(factory.web, WebSite)
    assert web.pages.url is not None
    assert web.pages.url.startswith(f"http://{url}:")
    assert ensureDeferred(web.pages.stop()).called


def test_a_self_signed_certificate_is_made_once_and_looked_at_again(tmp_path):
    flags = "--web-port", "7", "--web-ssl-self-signed"
    with logged() as log:
        web = Web(tmp_path, *flags)
    assert [line for line in log.lines if "made the self-signed certificate" in line]
    assert isinstance(web.reactor.tcpServers[0][1].web, TLSMemoryBIOFactory)  # type: ignore[attr-defined]
    assert web.pages.url is not None
    assert web.pages.url.startswith("https://")
    before = (web.data / "web-cert.pem").read_bytes()
    assert (web.data / "web-key.pem").stat().st_mode & 0o777 == 0o600
    calls = web.threads.calls
    web.reactor.advance(CERTIFICATE_PERIOD)
    assert web.threads.calls == calls + 1
    ensureDeferred(web.pages.stop())
    web.reactor.advance(10 * CERTIFICATE_PERIOD)
    assert web.threads.calls == calls + 1
    Web(tmp_path, *flags)
    assert (web.data / "web-cert.pem").read_bytes() == before


def test_a_certificate_that_cannot_be_used_is_one_clear_error(tmp_path):
    with pytest.raises(OperatorError, match=r"cannot read the TLS certificate .*/nothing\.pem: No such file"):
        Web(tmp_path, "--web-port", "7", "--web-ssl-cert", f"{tmp_path}/nothing.pem", "--web-ssl-key", "k.pem")


def test_an_action_reaches_the_operator_and_the_audit_log_in_the_data_directory(tmp_path):
    web = Web(tmp_path, "--api-key", KEY)
    web.pool.site = web.at_worker_port
    protocol, transport = web.pool.connect()
    body = b'{"level": "debug"}'
    protocol.dataReceived(
        b"POST /api/v1/admin/log-level HTTP/1.1\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (KEY.encode(), len(body), body)
    )
    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")
    assert web.operator.done == [("log-level", "debug")]
    assert json.loads((web.data / "audit.log").read_bytes())["action"] == "log-level"
    assert web.pages.access.figures().requests == 1


def test_keys_can_be_changed_while_the_node_runs(tmp_path):
    flags = ["--net", "simnet", "--api-key", KEY, "--web-rate-limit", "7"]
    access = web_access(load_config(flags, tmp_path, {}))
    other = ["--net", "simnet", "--api-key", KEY + "2", "--api-key-endpoints", "/metrics", "--web-rate-limit", "9"]
    apply_keys(access, load_config(other, tmp_path, {}))
    headers = {"x-api-key": [KEY]}
    asked = AccessRequest("192.0.2.1", b"/metrics", lambda name: headers.get(name, []))
    denied = access.judge(asked, 0.0)
    assert isinstance(denied, AccessDenied)
    assert denied.code == "wrong_api_key"
    headers["x-api-key"] = [KEY + "2"]
    assert isinstance(access.judge(asked, 0.0), Admitted)
    assert access.settings.rate_limit == 7
