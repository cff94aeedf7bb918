"""A Dash Core that gives the answers it is told to give: one for each method, and nothing behind them."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.support import capture

LOGIN = ("u", "p")


class Refusal(Exception):
    """An answer that is a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AnsweringDashd:
    """Ready answers to what `check` asks, on free ports; change `answers` for another Dash Core. A `Refusal` is
    raised, and a number is an HTTP status without JSON."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "getblockchaininfo": capture("10_getblockchaininfo")["response"]["result"],
            "getnetworkinfo": capture("10_getnetworkinfo")["response"]["result"],
            "submitblock": Refusal(-22, "Block decode failed"),
            "getblocktemplate": {"curtime": int(time.time())},
            "getwalletinfo": {"walletname": ""},
        }
        self._stack = ExitStack()
        dashd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(size))
                token = base64.b64encode(":".join(LOGIN).encode()).decode()
                if self.headers["Authorization"] != f"Basic {token}":
                    self.answer(401, b"")
                else:
                    self.answer(*dashd.answer(request["method"]))

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.rpc_port = self._server.server_port
        self.p2p_port = self._listen(b"")
        self.zmq_port = self._listen(b"\xff")
        self.answers["getzmqnotifications"] = [{"type": "pubhashblock", "address": self.zmq, "hwm": 1000}]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._stack.close()

    @property
    def zmq(self) -> str:
        """Where it publishes."""
        return f"tcp://127.0.0.1:{self.zmq_port}"

    def flags(self, *, p2p_port: int | None = None, zmq: str | None = None) -> list[str]:
        """The flags of a node on it, without the password."""
        return [
            *("--dashd-address", "127.0.0.1", "--dashd-rpc-port", str(self.rpc_port)),
            *(
                "--dashd-p2p-port",
                str(p2p_port or self.p2p_port),
                "--dashd-zmq",
                zmq or self.zmq,
                "--rpcuser",
                "u",
            ),
        ]

    def answer(self, method: str) -> tuple[int, bytes]:
        """The status and body of an answer."""
        found = self.answers.get(method, Refusal(-32601, "Method not found"))
        if isinstance(found, int):
            return found, b""
        if isinstance(found, Refusal):
            error = {"code": found.code, "message": found.message}
            return 500, json.dumps({"result": None, "error": error, "id": 1}).encode()
        return 200, json.dumps({"result": found, "error": None, "id": 1}).encode()

    def _listen(self, greeting: bytes) -> int:
        """Open a port that greets whoever connects."""
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])
