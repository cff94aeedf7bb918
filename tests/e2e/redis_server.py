"""A redis-server of its own on the loopback, for tests that need the real one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import redis

from tests.e2e.process import free_port, wait_for


def require_redis_server() -> str:
    """Return the program; skip the test where it is not installed."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed on this machine (apt install redis-server)")
    return found


class RedisServer:
    """One server on a port that stays the same. What it keeps is in `directory`: nothing, unless `append_only`.

    With `certificate` and `key` (files in PEM) it speaks TLS only; `replica_of` is the port of its master.
    """

    def __init__(
        self,
        directory: Path,
        *,
        append_only: bool = False,
        password: str | None = None,
        replica_of: int | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._program = require_redis_server()
        self.directory = directory
        self._password = password
        self._tls = certificate
        directory.mkdir(parents=True, exist_ok=True)
        port = ["--port", str(self.port)]
        if certificate is not None:
            port = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            port += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
        self._arguments = [
            *(*port, "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--daemonize", "no"),
            *("--appendonly", "yes" if append_only else "no"),
            *(() if password is None else ("--requirepass", password, "--masterauth", password)),
            *arguments,
        ]
        self._replica_of = replica_of

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.kill()

    @property
    def url(self) -> str:
        """Return the URL for --broker."""
        login = "" if self._password is None else f":{self._password}@"
        scheme, query = ("redis", "") if self._tls is None else ("rediss", f"?ca={self._tls}")
        return f"{scheme}://{login}127.0.0.1:{self.port}{query}"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        replica_of = () if self._replica_of is None else ("--replicaof", "127.0.0.1", str(self._replica_of))
        with open(self.directory / "redis.log", "ab") as log:
            self.process = subprocess.Popen(
                [self._program, *self._arguments, *replica_of], stdout=log, stderr=log, cwd=self.directory
            )
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Wait until it accepts commands."""

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.directory / "redis.log").read_text()
            with suppress(redis.exceptions.RedisError, OSError), self.client() as client:
                return bool(client.ping())
            return False

        wait_for("redis-server", answers, 30)

    def client(self) -> redis.Redis:
        """Return a client for the test itself."""
        options = {} if self._tls is None else {"ssl": True, "ssl_ca_certs": str(self._tls)}
        return redis.Redis(
            host="127.0.0.1", port=self.port, password=self._password, socket_timeout=5.0, **options
        )

    def call(self, *words: str) -> object:
        """Return what it answers to a command."""
        with self.client() as client:
            return client.execute_command(*words)

    def promote(self) -> None:
        """Make a replica a master, now and at its next start."""
        self.call("REPLICAOF", "NO", "ONE")
        self._replica_of = None

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """Stop it as it is: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


class SentinelServer(RedisServer):
    """A Sentinel that watches a master alone, and promotes its replica a second after it is gone."""

    def __init__(self, directory: Path, master: RedisServer) -> None:
        super().__init__(directory)
        config = directory / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor pool 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds pool 1000\n"
            "sentinel failover-timeout pool 3000\n"
        )
        self._arguments = [str(config), "--sentinel"]

    @property
    def url(self) -> str:
        """Return the URL for --broker."""
        return f"redis+sentinel://127.0.0.1:{self.port}/pool"

    def knows_replica(self) -> bool:
        """Return whether there is a replica that it could promote."""
        with self.client() as client:
            return any(each["is_slave"] for each in client.sentinel_slaves("pool"))
