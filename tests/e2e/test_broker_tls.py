"""Redis and Sentinel that demand certificates of their clients, and a password: as on several machines."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from p2pool.base.settings import Given
from p2pool.broker.connection import Broker
from p2pool.broker.settings import read_broker_address
from tests.broker.thread_calls import ThreadCalls
from tests.e2e.alert_servers import make_certificate
from tests.e2e.process import wait_for
from tests.e2e.redis_server import RedisServer
from tests.environment import make_environment
from tests.logged import logged

pytestmark = pytest.mark.e2e
PASSWORD = "hunter2"


class StrictServer(RedisServer):
    """A server with TLS and a password that demands a certificate."""

    def __init__(self, directory: Path, certificate: Path, key: Path) -> None:
        options = ["--tls-auth-clients", "yes", "--tls-ca-cert-file", str(certificate)]
        options += ["--tls-replication", "yes"]
        super().__init__(directory, password=PASSWORD, certificate=certificate, key=key, arguments=options)
        self._files = f"ca={certificate}&cert={certificate}&key={key}"
        self._options = {"ssl_ca_certs": certificate, "ssl_certfile": certificate, "ssl_keyfile": key}

    @property
    def url(self) -> str:
        return f"rediss://:{PASSWORD}@127.0.0.1:{self.port}?{self._files}"

    def client(self) -> redis.Redis:
        options = {name: str(value) for name, value in self._options.items()}
        return redis.Redis(
            host="127.0.0.1", port=self.port, password=PASSWORD, socket_timeout=5.0, ssl=True, **options
        )


class StrictSentinel(StrictServer):
    """A Sentinel with the same demands, which watches a master alone."""

    def __init__(self, directory: Path, master: RedisServer, certificate: Path, key: Path) -> None:
        super().__init__(directory, certificate, key)
        config = directory / "sentinel.conf"
        config.write_text(
            f"port 0\ntls-port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            f"tls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {certificate}\n"
            f"tls-replication yes\nrequirepass {PASSWORD}\n"
            f"sentinel monitor pool 127.0.0.1 {master.port} 1\nsentinel auth-pass pool {PASSWORD}\n"
        )
        self._arguments = [str(config), "--sentinel"]

    @property
    def url(self) -> str:
        return f"rediss+sentinel://:{PASSWORD}@127.0.0.1:{self.port}/pool?{self._files}"


def ping(url: str) -> tuple[object, list[str]]:
    """Return what Redis answers to a ping, or the failure's exception, and what is logged."""
    reactor = ThreadCalls()
    with logged() as log:
        broker = Broker(make_environment(reactor), read_broker_address(Given("--broker", url)))
        broker.start()
        results: list[object] = []
        asked = broker.ask(lambda client: client.ping())
        asked.addCallbacks(results.append, lambda failure: results.append(failure.value))
        reactor.run_until(lambda: results)
        broker.stop()
    return results[0], log.lines


def test_a_certificate_of_the_client(tmp_path: Path):
    certificate, key = make_certificate(tmp_path)
    with StrictServer(tmp_path / "redis", certificate, key) as server:
        answer, _ = ping(server.url)
        assert answer is True
        _, (line,) = ping(server.url.partition("&")[0])
        assert "give ?cert=FILE&key=FILE" in line or "check whether the server has TLS" in line


def test_sentinels_with_tls_and_the_same_password(tmp_path: Path):
    certificate, key = make_certificate(tmp_path)
    with (
        StrictServer(tmp_path / "redis", certificate, key) as master,
        StrictSentinel(tmp_path / "sentinel", master, certificate, key) as sentinel,
    ):
        wait_for("the Sentinel to reach the master", lambda: ping(sentinel.url)[0] is True, 20)
        _, (line,) = ping(sentinel.url.replace(PASSWORD, "wrong-word"))
        assert "the Sentinels reject the password in the broker's URL" in line
        assert "wrong-word" not in line
        _, (line,) = ping(sentinel.url.replace("/pool?", "/other?"))
        assert "No master found for 'other'; the Sentinels know no such master that is up" in line
