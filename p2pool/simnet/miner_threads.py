"""Hashing off the reactor: daemon threads that look for nonces. `miner.CpuMiner` starts and feeds them.

X11 releases the GIL for its 11 microseconds, the rest of the loop holds it for about one: so the reactor always
gets its turn, and two threads on two cores make 1.7 times the hashes of one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from struct import Struct

from p2pool.dash.pow import x11_digest
from p2pool.simnet.miner_work import FoundShare, Work

BATCH = 256
"""Hashes between two checks of the work and the stop flag: about 4 ms alone on a core."""
THROTTLED_BATCH_SECONDS = 0.01
"""A throttled thread hashes for so long at its rate, then sleeps; with a lower rate a hash at a time."""
MAX_CATCH_UP = 0.05
"""Seconds of hashing that a throttled thread makes up for after it was woken late."""
NONCES = 2**32
NICE_LEVEL = 19

_nonce_at_76 = Struct("<I").pack_into
_NONCE_OFFSET = 76


def scan_nonces(header: bytearray, target: int, nonces: range) -> list[int]:
    """Return the `nonces` with which the 80-byte `header` (whose last four bytes change) meets `target`."""
    found = []
    digest_of, pack_nonce, offset = x11_digest, _nonce_at_76, _NONCE_OFFSET
    # Digest and target are little-endian numbers: nearly every hash is decided by its last byte, as the first
    # ones of the target are zero.
    highest_byte = target >> 248
    for nonce in nonces:
        pack_nonce(header, offset, nonce)
        digest = digest_of(bytes(header))
        if digest[31] <= highest_byte and int.from_bytes(digest, "little") <= target:
            found.append(nonce)
    return found


class HashingThread(threading.Thread):
    """Hashes its own share of the extranonce2 space: `index`, `index + lanes`, `index + 2 * lanes`, ...

    Every new piece of work takes the next extranonce2 and the counter is never set back, so that nothing is
    hashed twice even if a server sends a job again. `deliver` and `on_ended` are called in this thread:
    `deliver` may block to slow it down; `on_ended` gets the exception that ended it, None if it was stopped.
    `max_hash_rate` is this thread's own, in hashes a second. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        deliver: Callable[[FoundShare], None],
        *,
        index: int = 0,
        lanes: int = 1,
        first_extranonce2: int = 0,
        max_hash_rate: float | None = None,
        on_ended: Callable[[BaseException | None], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "miner",
    ) -> None:
        if not 0 <= index < lanes:
            raise ValueError(f"no lane {index} among {lanes}")
        if max_hash_rate is not None and max_hash_rate <= 0:
            raise ValueError(f"max_hash_rate must be positive, not {max_hash_rate}")
        super().__init__(name=f"{name}-{index}", daemon=True)
        self.hashes = 0
        """Hashes so far. Only this thread writes it; any may read it."""
        self._deliver = deliver
        self._on_ended = on_ended
        self._clock = clock
        self.next_extranonce2 = first_extranonce2 + index
        """The next value of the counter, before it is reduced to the size of the work's extranonce2."""
        self._lanes = lanes
        self._rate = max_hash_rate
        self._batch = BATCH
        if max_hash_rate is not None:
            self._batch = int(min(BATCH, max(1.0, max_hash_rate * THROTTLED_BATCH_SECONDS)))
        self._next_batch_at = 0.0
        self._work: Work | None = None
        self._stopping = False
        # Set with every change of the two above; cleared by the thread before it reads them.
        self._wake = threading.Event()

    # --- called by the owner, in any thread -----------------------------------------------------------

    def set_work(self, work: Work | None) -> None:
        """Hash `work` from now on; None: rest."""
        self._work = work
        self._wake.set()

    def stop(self) -> None:
        """End, within one batch."""
        self._stopping = True
        self._wake.set()

    # --- the thread -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Hash until stopped; called by `start`."""
        failure: BaseException | None = None
        try:
            if self._rate is None:
                _be_nice()  # a throttled thread takes little, and should get it
            self._hash_until_stopped()
        except BaseException as error:  # reported to the owner, who logs it with its traceback
            failure = error
        if self._on_ended is not None:
            self._on_ended(failure)

    def _hash_until_stopped(self) -> None:
        while True:
            self._wake.clear()
            work = self._work
            if self._stopping:
                return
            if work is None:
                self._wake.wait()
            else:
                self._hash_work(work)

    def _hash_work(self, work: Work) -> None:
        """Go through the nonces of one extranonce2, as long as `work` is the work to do."""
        extranonce2 = self._next_extranonce2(work.extranonce2_size)
        header = bytearray(work.header(extranonce2))
        for first in range(0, NONCES, self._batch):
            if self._wake.is_set() or not self._wait_for_turn():
                return
            nonces = range(first, min(first + self._batch, NONCES))
            for nonce in scan_nonces(header, work.target, nonces):
                self._deliver(FoundShare(work, extranonce2, nonce))
            self.hashes += len(nonces)

    def _next_extranonce2(self, size: int) -> bytes:
        value = self.next_extranonce2 % (1 << 8 * size)
        self.next_extranonce2 += self._lanes
        return value.to_bytes(size, "big")

    def _wait_for_turn(self) -> bool:
        """Sleep as the throttle demands; False if something changed meanwhile."""
        if self._rate is None:
            return True
        now = self._clock()
        if self._next_batch_at > now and self._wake.wait(self._next_batch_at - now):
            return False
        # From when it was due, so that the mean holds in spite of late wake-ups; after a rest there is no burst.
        due = max(self._next_batch_at, now - MAX_CATCH_UP)
        self._next_batch_at = due + self._batch / self._rate
        return True


def _be_nice() -> None:
    """Give way to everything else: on Linux the nice level is a thread's own, elsewhere the process's."""
    if not sys.platform.startswith("linux"):
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE_LEVEL)
    except OSError:
        return  # not allowed in some sandboxes; only a courtesy
