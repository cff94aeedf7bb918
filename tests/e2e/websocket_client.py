"""A WebSocket client for tests, blocking, and as slow or as rude as wanted."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import time
from typing import Any

from tests.e2e.process import PATIENCE

CLOSE, PING, PONG = 8, 9, 10


class Refused(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class Closed(Exception):
    """The server closed; `code` is None where it did not say why."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def handshake(host: str, path: str, *headers: str) -> bytes:
    """The request."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        *(f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: keep-alive, Upgrade"),
        *("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers, "", ""),
    ]
    return "\r\n".join(lines).encode()


def masked(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """A client's frame."""
    mask = os.urandom(4)
    length = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", length)
    return head + mask + bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))


class WebSocket:
    """One connection. `source` is the address that it comes from; `receive_buffer` makes it a slow one; with `tls`
    it is encrypted; `host` is asked for in place of the address."""

    def __init__(
        self,
        port: int,
        path: str = "/ws",
        *headers: str,
        source: str = "127.0.0.1",
        receive_buffer: int | None = None,
        patience: float = PATIENCE,
        tls: ssl.SSLContext | None = None,
        host: str | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.settimeout(patience)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self._patience = patience
        self._data = b""
        self.pings = 0
        self.socket.sendall(handshake(host or f"127.0.0.1:{port}", path, *headers))
        head = self._take_until(b"\r\n\r\n").decode("latin-1")
        status = int(head.split()[1])
        if status != 101:
            length = int(head.lower().partition("content-length: ")[2].split()[0])
            body = self._take(length)
            self.socket.close()
            raise Refused(status, body)

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, message: Any) -> None:
        """A JSON message."""
        self.socket.sendall(masked(1, json.dumps(message).encode()))

    def message(self) -> Any:
        """The next JSON message; pings are answered. Raises Closed, TimeoutError."""
        text = b""
        while True:
            first, payload = self._frame()
            opcode = first & 15
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if payload else None
                raise Closed(code, payload[2:].decode())
            if opcode == PING:
                self.pings += 1
                self.socket.sendall(masked(PONG, payload))
            elif opcode != PONG:
                text += payload
                if first & 0x80:
                    return json.loads(text)

    def wait_for(self, **fields: Any) -> Any:
        """The next message that has these fields."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            message = self.message()
            if all(message.get(name) == value for name, value in fields.items()):
                return message
        raise TimeoutError(f"no message with {fields}")

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        return first, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._read()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def _take_until(self, end: bytes) -> bytes:
        while end not in self._data:
            self._read()
        taken, _, self._data = self._data.partition(end)
        return taken

    def _read(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed
        self._data += data
