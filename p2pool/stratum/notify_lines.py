"""The mining.notify lines of the jobs on one context, which differ from each other in a few places only."""

from __future__ import annotations

from binascii import hexlify

import orjson

from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job

MAX_LINE_BYTES = 4 * 1024 * 1024
"""Bytes of lines that are kept for other connections of the same job: those of 1,000 jobs with 50 payees. Beyond
it, a line is put together for each connection: it costs less than sending it."""
_MAX_IDLE_LINE_BYTES = 256 * 1024
"""Bytes of lines that are kept when no job broadcast is running: those of a few farms that reconnect."""
_HEAD = b'{"id":null,"method":"mining.notify","params":['
_BESIDES_COINBASE = 2000
"""Bytes of a line besides its coinbase, about."""


def swap_words(hash_bytes: bytes) -> bytes:
    """Return prevhash as mining.notify has it: the 32 internal bytes, with the bytes of each 4-byte word
    reversed."""
    return b"".join(hash_bytes[i : i + 4][::-1] for i in range(0, 32, 4))


class NotifyLines:
    """Puts lines together from hexadecimal that all jobs share, which is made when the first one is needed.

    Bound: MAX_LINE_BYTES of lines (unless `for_all` connections, _MAX_IDLE_LINE_BYTES), and twice the bytes of the
    context's outputs; nothing once it is closed.
    """

    __slots__ = ("_after", "_before", "_hex", "_kept", "_limit", "_lines", "_outputs", "context")

    def __init__(self, context: WorkContext, *, for_all: bool = True) -> None:
        self.context: WorkContext | None = context
        self._limit = MAX_LINE_BYTES if for_all else _MAX_IDLE_LINE_BYTES
        self._lines: tuple[dict[Job, bytes], dict[Job, bytes]] = {}, {}
        """The lines that are kept, without and with clean_jobs."""
        self._kept = 0
        """The bytes of these lines."""
        self._outputs = b""
        self._hex = memoryview(b"")
        """The hexadecimal of `_outputs`, which is what coinbases have in common."""
        self._before = self._after = b""
        """What all lines have before and after their coinbase."""

    def line(self, job_id: str, job: Job, *, clean: bool) -> bytes:
        """Return the whole line of a job on the context."""
        lines = self._lines[clean]
        line = lines.get(job)
        if line is None:
            if job.context is not self.context:
                return NotifyLines(job.context).line(job_id, job, clean=clean)
            line = self._make(job_id, job, clean=clean)
            if self._kept + len(line) <= self._limit:
                self._kept += len(line)
                lines[job] = line
        return line

    def sent_to_all(self) -> None:
        """Release most lines: all connections have them, and the next ones come one by one."""
        self._limit = _MAX_IDLE_LINE_BYTES
        if self._kept > self._limit:
            self._lines = {}, {}
            self._kept = 0

    def close(self) -> None:
        """Forget everything, for there is newer work. Lines are rarely needed again: they are made anew."""
        self.context = None
        self._lines = {}, {}
        self._kept = 0
        self._outputs, self._hex = b"", memoryview(b"")

    def _make(self, job_id: str, job: Job, *, clean: bool) -> bytes:
        shared, start, own, end = job.coinbase
        if self._outputs is not shared.outputs:
            self._prepare(job.context, shared.outputs)
        numbers = f'{job.version:08x}","{job.context.template.bits:08x}","{job.timestamp:08x}"'
        return b"".join(
            (
                _HEAD,
                orjson.dumps(job_id),
                self._before,
                hexlify(shared.head),
                self._hex[: 2 * start],
                hexlify(own),
                self._hex[2 * end :],
                hexlify(job.ref_hash),
                self._after,
                numbers.encode(),
                b",true]}\n" if clean else b",false]}\n",
            )
        )

    def _prepare(self, context: WorkContext, outputs: bytes) -> None:
        self._outputs, self._hex = outputs, memoryview(hexlify(outputs))
        self._before = f',"{swap_words(context.previous_block_bytes).hex()}","'.encode()
        branch = orjson.dumps([entry.hex() for entry in context.template.branch])
        self._after = f'","{context.suffix.hex()}",'.encode() + branch + b',"'


def line_size(context: WorkContext) -> int:
    """Return about how many bytes the notify line of a job on this context has."""
    return 2 * context.coinbases.size + _BESIDES_COINBASE
