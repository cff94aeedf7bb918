"""Framing shared by the peers of the share chain and of Dash.

A message is `prefix | command, 12 bytes NUL-padded | uint32 payload length | checksum | payload`, the
checksum being the first four bytes of the payload's double SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from struct import Struct

from p2pool.base.errors import ParseError

_COMMAND_SIZE = 12
_HEADER = Struct("<12sI4s")
"""Command, length and checksum, after the prefix."""
_HEADER_SIZE = _HEADER.size


class ChecksumError(ParseError):
    """A payload does not match its checksum."""


class PayloadTooLong(ParseError):
    """A message's announced length exceeds the limit. `head` is the beginning of its payload."""

    def __init__(self, command: str, length: int, head: bytes) -> None:
        super().__init__(f"a {command} message of {length} bytes is too long")
        self.command, self.length, self.head = command, length, head


def _checksum(payload: bytes) -> bytes:
    return sha256(sha256(payload).digest()).digest()[:4]


def frame(prefix: bytes, command: str, payload: bytes) -> bytes:
    """Return the bytes of one message. `command` is ASCII, at most 12 characters."""
    name = command.encode("ascii")
    if len(name) > _COMMAND_SIZE:
        raise ValueError(f"command {command!r} is longer than {_COMMAND_SIZE} bytes")
    return b"".join(
        (
            prefix,
            name.ljust(_COMMAND_SIZE, b"\x00"),
            len(payload).to_bytes(4, "little"),
            _checksum(payload),
            payload,
        )
    )


class Framer:
    """Incremental: bytes in, (command, payload) out.

    The buffer never holds more than one message of `max_payload` plus what one `feed` brought. Bytes that are
    not a message, and a message whose announced length exceeds `max_payload`, are skipped up to the next prefix. A
    command in `heads` (command -> bytes of payload) is reported by PayloadTooLong before it is skipped.
    """

    __slots__ = ("_buffer", "_heads", "_max_payload", "_prefix")

    def __init__(self, prefix: bytes, max_payload: int, heads: Mapping[str, int] | None = None) -> None:
        self._prefix = prefix
        self._max_payload = max_payload
        self._heads = heads or {}
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield each message that `data` completes; ChecksumError if a payload is corrupt.

        The iterator must be used up (or the connection dropped) before the next `feed`.
        """
        self.add(data)
        while True:
            message = self.next_message()
            if message is None:
                return
            yield message

    def add(self, data: bytes) -> None:
        """Take bytes over. What is complete is for `next_message`."""
        self._buffer += data

    def next_message(self) -> tuple[str, bytes] | None:
        """Return the next complete message, None if there is none; ChecksumError if its payload is corrupt,
        PayloadTooLong if it is too long and its command one of `heads`.

        The time is that of one payload's checksum, or of skipping what is not a message.
        """
        buffer = self._buffer
        if not buffer:
            return None
        offset = len(self._prefix)
        head = offset + _HEADER_SIZE
        while True:
            if not self._seek_prefix():
                return None
            if len(buffer) < head:
                return None
            padded, length, checksum = _HEADER.unpack_from(buffer, offset)
            raw_command = padded.rstrip(b"\x00")
            if length > self._max_payload:
                wanted = self._heads.get(raw_command.decode("latin-1"), 0)
                if len(buffer) < head + wanted:
                    return None
                beginning = bytes(buffer[head : head + wanted])
                del buffer[: len(self._prefix)]
                if wanted:
                    raise PayloadTooLong(raw_command.decode("latin-1"), length, beginning)
                continue
            if len(buffer) < head + length:
                return None
            payload = bytes(buffer[head : head + length])
            del buffer[: head + length]
            if checksum != _checksum(payload):
                raise ChecksumError(f"wrong checksum of a {raw_command!r} message of {length} bytes")
            return raw_command.decode("latin-1"), payload

    def pending(self, head: int) -> tuple[str, int, bytes] | None:
        """Return what has come of the first message that `next_message` has not returned: its command, the number
        of payload bytes, and the first `head` of them. None if there is no header yet."""
        buffer = self._buffer
        start = len(self._prefix) + _HEADER_SIZE
        if len(buffer) < start or not buffer.startswith(self._prefix):
            return None
        padded, length, _ = _HEADER.unpack_from(buffer, len(self._prefix))
        command = padded.rstrip(b"\x00").decode("latin-1")
        return command, min(length, len(buffer) - start), bytes(buffer[start : start + head])

    def _seek_prefix(self) -> bool:
        """Drop what cannot be the start of a message; True if the buffer starts with the prefix."""
        buffer, prefix = self._buffer, self._prefix
        if buffer.startswith(prefix):
            return True
        found = buffer.find(prefix)
        if found >= 0:
            del buffer[:found]
            return True
        del buffer[: max(0, len(buffer) - len(prefix) + 1)]
        return False
