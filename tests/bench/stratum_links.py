"""One connection of the load generator: a miner that never hashes.

Bytes are looked at, not parsed, where it counts: the generator must not be what is measured.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import ssl
from collections import deque

HOST = "127.0.0.1"
SOURCES = tuple(f"127.0.0.{number}" for number in range(1, 21))
"""Connections come from all of them, so that neither ports nor limits of one address are what is measured."""
GOOD = b'"result":true'
_METHOD, _NOTIFY = b'"method"', b'"mining.notify"'
_JOB = re.compile(rb'"params":\["([^"]+)","([0-9a-f]{64})",')
_TIME = re.compile(rb'"([0-9a-f]{8})",(?:true|false)\]')
_RECEIVE = 1 << 14
_SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["bench/1",null]}\n'
_AUTHORIZE = b'{"id":2,"method":"mining.authorize","params":["%s","x"]}\n'
_SUBMIT = b'{"id":3,"method":"mining.submit","params":["%s","%s","00000000","%s","%%08x"]}\n'


class LinkLost(Exception):
    """The connection is of no more use; the text says why."""


class Link:
    """A connection from connect() to submissions. `ready` once it is authorized and has a job.

    `progress` is called, when epoll says so, until it is `established`; then `read` gives what is there and `feed`
    takes it apart. All of them raise LinkLost and OSError.
    """

    __slots__ = (
        "_context", "_counter", "_form", "_line", "_rest", "_shaken", "_socket", "_step", "_user",
        "fileno", "jobs", "parent", "ready", "sent", "waiting",
    )  # fmt: skip

    def __init__(self, port: int, source: str, user: bytes, context: ssl.SSLContext | None) -> None:
        self.waiting = select.EPOLLOUT
        """What epoll is to wait for."""
        self.ready = False
        self.parent = b""
        """The previous block's hash of the newest job, as it was sent."""
        self.jobs = 0
        """How many came."""
        self.sent: deque[float] = deque()
        """When the submissions that are not answered yet were sent."""
        self._user = user
        self._context = context
        self._shaken = context is None
        self._step = 0
        self._rest = b""
        self._line = b""
        self._form = b""
        self._counter = 0
        self._socket = socket.socket()
        self.fileno = self._socket.fileno()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.bind((source, 0))
        status = self._socket.connect_ex((HOST, port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, os.strerror(status))

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def progress(self) -> None:
        """Go on with connecting: called as long as it is not `established`."""
        if self._step == 0:
            status = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if status:
                raise OSError(status, os.strerror(status))
            self._step = 1
            if self._context is not None:
                self._socket = self._context.wrap_socket(self._socket, do_handshake_on_connect=False)
        if not self._shaken:
            try:
                self._socket.do_handshake()  # type: ignore[attr-defined]
            except ssl.SSLWantReadError:
                self.waiting = select.EPOLLIN
                return
            except ssl.SSLWantWriteError:
                self.waiting = select.EPOLLOUT
                return
            self._shaken = True
        self.waiting = select.EPOLLIN
        self.send(_SUBSCRIBE)

    @property
    def established(self) -> bool:
        """Whether bytes can be exchanged."""
        return self._step > 0 and self._shaken

    def send(self, data: bytes) -> None:
        """Send little: a node that does not take it at once does not read."""
        try:
            done = self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            done = 0
        if done != len(data):
            raise LinkLost("the node does not read")

    def read(self) -> bytes:
        """What has come; nothing where that was only TLS's own business. LinkLost at the end."""
        if self._context is None:
            data = self._socket.recv(_RECEIVE)
            if not data:
                raise LinkLost("closed by the node")
            return data
        parts = []  # epoll does not see what the TLS library holds already: take it all
        try:
            while part := self._socket.recv(_RECEIVE):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        raise LinkLost("closed by the node")

    def plain(self, data: bytes) -> bool:
        """Whether `data` is whole answers to submissions and nothing else: nearly always, and quick to see."""
        return self.ready and not self._rest and data[-1:] == b"\n" and _METHOD not in data

    def feed(self, data: bytes) -> bytes:
        """Anything else: log in, note jobs. Returns the whole answers to submissions among it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        answers = []
        for line in lines:
            if _METHOD in line:
                if _NOTIFY in line:
                    self._take_job(line)
            elif self._step < 3:
                self._log_in(line)
            else:
                answers.append(line + b"\n")
        self.ready = self._step == 3 and bool(self._line)
        return b"".join(answers)

    def _take_job(self, line: bytes) -> None:
        match = _JOB.search(line)
        if match is None:
            raise LinkLost(f"a strange notify: {line[:300]!r}")
        self.parent = match[2]
        self.jobs += 1
        self._line, self._form = line, b""

    def _log_in(self, line: bytes) -> None:
        if b'"error":null' not in line or (self._step == 2 and GOOD not in line):
            raise LinkLost(f"refused: {line[:300]!r}")
        self._step += 1
        if self._step == 2:
            self.send(_AUTHORIZE % self._user)

    def submit(self, count: int, now: float) -> None:
        """Send `count` submissions, none of which was sent before."""
        form = self._form or self._make_form()
        first = self._counter
        self._counter += count
        if count == 1:
            self.sent.append(now)
            self.send(form % first)
        else:
            self.sent.extend([now] * count)
            self.send(b"".join([form % number for number in range(first, first + count)]))

    def _make_form(self) -> bytes:
        job, time = _JOB.search(self._line), _TIME.search(self._line)
        if job is None or time is None:
            raise LinkLost(f"a strange notify: {self._line[:300]!r}")
        self._form = _SUBMIT % (self._user, job[1], time[1])
        return self._form
