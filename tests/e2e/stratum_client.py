"""A miner's side of stratum over a blocking socket, for tests: one step after another, each with a time limit."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any, Self

from p2pool.dash.target import difficulty_to_target
from p2pool.simnet.miner_threads import scan_nonces
from p2pool.simnet.miner_work import MiningJob, parse_notify

TIME = 30.0
"""Seconds that any answer may take on a busy machine."""
_BATCH = 4096
_MAX_HASHES = 3_000_000


class ConnectionEnded(Exception):
    """The server closed the connection, or never let it in."""


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code


class StratumClient:
    """One connection. `header` are bytes that go before everything, TLS's too; `source` is our own address."""

    def __init__(
        self,
        port: int,
        header: bytes = b"",
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> None:
        own = None if source is None else (source, 0)
        self.socket = socket.create_connection(("127.0.0.1", port), TIME, source_address=own)
        self.socket.sendall(header)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self.session_id = ""
        self.extranonce1 = b""
        self.extranonce2_size = 0
        self.difficulty = 0.0
        self.username = ""
        self.jobs: list[MiningJob] = []
        self.messages: list[str] = []
        """What operators showed."""
        self._buffer = b""
        self._next_id = 1
        self._answers: dict[int, dict[str, Any]] = {}
        self.mined = 0
        """Submissions so far: the next one's extranonce2 comes after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gone."""
        self.socket.close()

    # --- lines -------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Bytes as they are. Raises ConnectionEnded."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise ConnectionEnded(str(error)) from None

    def read(self) -> None:
        """Take in the next message. Raises ConnectionEnded, and TimeoutError where nothing comes."""
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise ConnectionEnded(str(error)) from None
            if not data:
                raise ConnectionEnded("end of file")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        match message.get("method"):
            case None:
                self._answers[message["id"]] = message
            case "mining.notify":
                self.jobs.append(parse_notify(message["params"]))
            case "mining.set_difficulty":
                (self.difficulty,) = message["params"]
            case "client.show_message":
                self.messages += message["params"]
            case "client.get_version":
                self._write({"id": message["id"], "result": "e2e/1", "error": None})

    def read_all(self) -> None:
        """Take in all that has come. Raises ConnectionEnded."""
        self.socket.settimeout(0.05)
        try:
            while True:
                self.read()
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(TIME)

    def _write(self, message: dict[str, Any]) -> None:
        self.send(json.dumps(message).encode() + b"\n")

    def call(self, method: str, *params: Any) -> Any:
        """The result of a request. Raises Refused, ConnectionEnded."""
        request_id = self._next_id
        self._next_id += 1
        self._write({"id": request_id, "method": method, "params": list(params)})
        while request_id not in self._answers:
            self.read()
        answer = self._answers.pop(request_id)
        if answer["error"] is not None:
            raise Refused(*answer["error"][:2])
        return answer["result"]

    def wait_for_the_end(self) -> None:
        """Read until the server ends the connection. Raises TimeoutError where it does not."""
        try:
            while True:
                self.read()
        except ConnectionEnded:
            pass

    # --- mining ------------------------------------------------------------------------------------------

    def subscribe(self, session: str | None = None) -> None:
        """mining.subscribe; what it gave is in the attributes."""
        subscriptions, extranonce1, self.extranonce2_size = self.call("mining.subscribe", "e2e/1", session)
        self.session_id = dict(subscriptions)["mining.notify"]
        self.extranonce1 = bytes.fromhex(extranonce1)

    def login(self, username: str, session: str | None = None, password: str = "d=0.000001") -> StratumClient:
        """Subscribe, authorize, and wait for the first job."""
        self.subscribe(session)
        assert self.call("mining.authorize", username, password) is True
        self.username = username
        while not self.jobs:
            self.read()
        return self

    def mine(self, job: MiningJob | None = None) -> Any:
        """Find a nonce for a job (the newest one) and submit it: the answer's result. Raises Refused."""
        job = job or self.jobs[-1]
        self.mined += 1
        extranonce2 = self.mined.to_bytes(self.extranonce2_size, "big")
        header = bytearray(job.header(self.extranonce1, extranonce2))
        target = difficulty_to_target(self.difficulty)
        batch = max(16, min(_BATCH, int(self.difficulty * 2**33)))
        for start in range(0, _MAX_HASHES, batch):
            found = scan_nonces(header, target, range(start, start + batch))
            if found:
                ntime, nonce = f"{job.timestamp:08x}", f"{found[0]:08x}"
                return self.call("mining.submit", self.username, job.job_id, extranonce2.hex(), ntime, nonce)
        raise AssertionError(f"no nonce for difficulty {self.difficulty}")
