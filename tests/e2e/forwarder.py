"""A TCP connection's way that a test can cut: what one side sends goes through this process to the other."""

from __future__ import annotations

import contextlib
import socket
import threading


class Forwarder:
    """Listens on `port` of the loopback and passes everything on to `target`, until it is cut.

    While it is cut, connections that stand are gone and new ones end at once.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._whole = True
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits in accept() would keep the socket open: shutting it down wakes it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Nothing passes any more."""
        with self._lock:
            self._whole = False
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def heal(self, target: int | None = None) -> None:
        """New connections pass, to another target if one is given."""
        with self._lock:
            self._whole = True
            self._target = self._target if target is None else target

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                return
            far.settimeout(None)
            with far:
                with self._lock:
                    if not self._whole:
                        return
                    self._sockets |= {near, far}
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()
                with self._lock:
                    self._sockets -= {near, far}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until one side ends; then both do."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
