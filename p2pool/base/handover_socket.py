"""The connection between a process and the one that takes over: messages, and open sockets, over a Unix socket.

Both ends block, so they run in threads. Each step has a deadline, and what comes is bounded and parsed as hostile.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import resource
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from p2pool.base.errors import ParseError

MAX_MESSAGE: Final = 1 << 30
"""Bytes of one message: the state of ten thousand miners with an hour of jobs is far smaller."""
MAX_SOCKETS: Final = 100_000
_AT_ONCE: Final = 200
"""Sockets in one system call; Linux allows 253."""
_PAUSE: Final = 0.02
"""Seconds between two attempts to send sockets when too many are under way."""
_LENGTH: Final = struct.Struct("<Q")
_CREDENTIALS: Final = struct.Struct("3i")
_LONGEST_PATH: Final = 100
"""Bytes of a Unix socket's path; Linux allows 107."""


class HandoverSocket:
    """One end of the connection. Everything raises OSError (a TimeoutError after the deadline) or ParseError."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._deadline = 0.0

    def set_deadline(self, seconds: float) -> None:
        """Let everything that follows take so many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def close(self) -> None:
        """Close this end of the connection."""
        self._socket.close()

    @property
    def peer(self) -> tuple[int, int]:
        """Return the process id and the user id of the other end, as the kernel knows them."""
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, user, _ = _CREDENTIALS.unpack(data)
        return process, user

    def wait_for_exit(self, seconds: float) -> bool:
        """Wait until the process at the other end is gone, with all that it had open. Return False if it lives, or
        if this system cannot tell."""
        try:
            process, _ = self.peer
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            return True
        except (OSError, AttributeError):
            return False
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def send(self, message: Any) -> None:
        """Send a message that JSON can carry."""
        self.send_bytes(orjson.dumps(message))

    def receive(self) -> Any:
        """Return the next message."""
        try:
            return orjson.loads(self.receive_bytes())
        except orjson.JSONDecodeError as error:
            raise ParseError(f"a message that is not JSON: {error}") from None

    def send_bytes(self, data: bytes) -> None:
        """Send a message as it is."""
        self._hurry()
        self._socket.sendall(_LENGTH.pack(len(data)))
        self._hurry()
        self._socket.sendall(data)

    def receive_bytes(self) -> bytes:
        """Return the next message as it is."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > MAX_MESSAGE:
            raise ParseError(f"a message of {length} bytes")
        return self._read(length)

    def send_sockets(self, sockets: Sequence[socket.socket]) -> None:
        """Send open sockets; they stay open here as well."""
        for start in range(0, len(sockets), _AT_ONCE):
            self._send_portion([each.fileno() for each in sockets[start : start + _AT_ONCE]])

    def _send_portion(self, numbers: list[int]) -> None:
        while True:
            self._hurry()
            try:
                socket.send_fds(self._socket, [b"s"], numbers)
                return
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
            # Processes of this user have as many under way as they may open: until the others have read theirs.
            threading.Event().wait(_PAUSE)

    def receive_sockets(self, count: int) -> list[socket.socket]:
        """Return so many sockets, in the order in which they were sent."""
        if not 0 <= count <= MAX_SOCKETS:
            raise ParseError(f"{count} sockets")
        received: list[socket.socket] = []
        try:
            while len(received) < count:
                self._hurry()
                data, ancillary, flags, _ = self._socket.recvmsg(
                    1, socket.CMSG_SPACE(_AT_ONCE * array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
                )
                received += _sockets_of(ancillary)
                if not data:
                    raise ConnectionResetError("the other process closed the connection")
                if flags & socket.MSG_CTRUNC:
                    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
                    raise ParseError(
                        f"{len(received)} sockets instead of {count}: this process may open {limit} files; raise "
                        "the limit with ulimit -n"
                    )
                if not ancillary:
                    raise ParseError(f"{len(received)} sockets instead of {count}")
        except BaseException:
            close_all(received)
            raise
        return received

    def wait_for_end(self) -> bool:
        """Return whether the other end is closed before the deadline."""
        try:
            while True:
                self._hurry()
                if not self._socket.recv(4096):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._hurry()
            part = self._socket.recv(min(length - len(data), 1 << 20))
            if not part:
                raise ConnectionResetError("the other process closed the connection")
            data += part
        return bytes(data)

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other process took too long")
        self._socket.settimeout(left)


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close sockets in this process."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.close()


def listen(path: Path) -> socket.socket:
    """Listen at a Unix socket that only this user may use, in place of an earlier one. Raises OSError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        # Before it has a name. Not by the umask: threads that write files meanwhile would get that too.
        os.fchmod(listening.fileno(), 0o600)
        with _short(path) as name:
            listening.bind(name)
        listening.listen(1)
    except OSError:
        listening.close()
        raise
    return listening


def connect(path: Path, seconds: float) -> HandoverSocket:
    """Return a connection to the process that listens at a path. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        with _short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    end = HandoverSocket(connection)
    end.set_deadline(seconds)
    return end


@contextlib.contextmanager
def _short(path: Path) -> Any:
    """Give a name of a path that is short enough for a Unix socket."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _sockets_of(ancillary: Iterable[tuple[int, int, bytes]]) -> list[socket.socket]:
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return [socket.socket(fileno=number) for number in numbers]
