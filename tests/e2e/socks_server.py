"""A SOCKS5 proxy in the test's own process, which knows where made-up names lead and connects to nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading


class SocksServer:
    """Listens on `port` of the loopback. `names` has the local ports of the hosts that it reaches; `asked` is what
    it was asked for, (host, port)."""

    def __init__(self, names: dict[str, int]) -> None:
        self.names = names
        self.asked: list[tuple[str, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"socks5://127.0.0.1:{self.port}"

    def __enter__(self) -> SocksServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError, EOFError):
            version, count = _read(near, 2)
            assert (version, 2 in _read(near, count)) == (5, True)
            near.sendall(b"\x05\x02")
            _, length = _read(near, 2)
            _read(near, length)
            _read(near, _read(near, 1)[0])
            near.sendall(b"\x01\x00")
            _, command, _, kind = _read(near, 4)
            host = _read(near, _read(near, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(_read(near, 4))
            port = int.from_bytes(_read(near, 2), "big")
            self.asked.append((host, port))
            if command != 1 or host not in self.names:
                near.sendall(b"\x05\x04\x00\x01" + bytes(6))
                return
            with socket.create_connection(("127.0.0.1", self.names[host] or port)) as far:
                near.sendall(b"\x05\x00\x00\x01" + bytes(6))
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join()


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
