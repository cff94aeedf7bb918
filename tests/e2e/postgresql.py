"""A PostgreSQL server of its own on the loopback, for as long as tests need it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.e2e.process import PATIENCE, free_port, wait_for


def programs() -> Path | None:
    """Where initdb and postgres are: on the PATH, or where Debian has them; the newest."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """One server. `stop` and `start` as often as a test wants."""

    def __init__(self, programs: Path, directory: Path, prefix: list[str]) -> None:
        self.port = free_port()
        self._programs, self._directory, self._prefix = programs, directory, prefix
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """For --stats-db."""
        return f"postgresql://p2pool@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Once, before the first start."""
        command = [str(self._programs / "initdb"), "-D", str(self._directory / "data"), "-U", "p2pool"]
        command += ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*self._prefix, *command], check=True, capture_output=True, cwd=self._directory)

    def start(self) -> None:
        """It answers when this returns."""
        command = [str(self._programs / "postgres"), "-D", str(self._directory / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(self._directory)]
        with open(self._directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *command], stdout=log, stderr=log, cwd=self._directory, start_new_session=True
            )
        wait_for("PostgreSQL", self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once; the next start recovers."""
        pid = int((self._directory / "data/postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 3)  # SIGQUIT: what PostgreSQL calls an immediate shutdown
        if self._process is not None:
            self._process.wait(PATIENCE)
            self._process = None

    def create(self, database: str) -> str:
        """A new database; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """A server that runs; skips the test where there is none to be had."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL's server is not installed on this machine (apt install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="p2pool-postgresql-"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user postgres to run the server as")
        os.chown(directory, user.pw_uid, user.pw_gid)
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    server = Server(found, directory, prefix)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        if (directory / "data/postmaster.pid").exists():
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)
