"""Merged mining: the daemons of auxiliary chains as sources of work and receivers of blocks.

Every daemon is polled for the block that it would have, with `getauxblock`. A fault of one costs a log line and
its own chain, and nothing of Dash: it has connections, limits and timeouts of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.backoff import Backoff
from p2pool.base.bounded import BoundedSet
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.base.text import excerpt
from p2pool.dash.auxpow import MAX_CHAIN_ID, AuxCommitment, AuxWork, commit_to
from p2pool.dash.target import bits_to_target, is_compact_target
from p2pool.dashd.aux_submission import AuxReceiver, AuxSubmitter
from p2pool.dashd.credentials import Credentials, CredentialSource, FixedCredentials
from p2pool.dashd.daemon_url import DaemonUrl
from p2pool.dashd.rpc import Caller, RpcClient, RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.merged")

POLL_PERIOD = 1.0
POLL_TIMEOUT = 10.0
_LAST_RETRY = 30.0
MAX_ANSWER = 64 * 1024
"""Bytes: an answer has a few hundred."""
WORK_LIFETIME = 120.0
"""Seconds for which the block of a daemon that gives no other one stays in the commitment."""
PAUSE = 5.0
"""Seconds between two job broadcasts for auxiliary chains, however many there are. The first change after a pause
is broadcast at once, so that with one chain a new block is in work about POLL_PERIOD after it exists. With many
chains one waits up to PAUSE more: a twelfth of the minute that their blocks take at least, while miners, who get a
job broadcast for each share anyway, are not disturbed all the time. Work made meanwhile for another reason
contains the newest blocks."""
REPORT_PERIOD = 60.0
"""Seconds between two warnings about one daemon, whatever its problems."""
WELL_AFTER = 10.0
"""Seconds without a problem after which its end is logged."""
_KNOWN_WORKS = 256
"""Blocks of one daemon that may come back solved: jobs live as long as their Dash block, minutes mostly."""


class ChainTaken(Exception):
    """Raised because another daemon already gives blocks of the same chain."""


# --- work --------------------------------------------------------------------------------------------------------


def parse_aux_work(answer: Any) -> AuxWork:
    """Return the work in an answer to `getauxblock`. Raises ParseError.

    `target` (`_target` in newer daemons) is little-endian hex, as Namecoin has it and p2pool reads it. Where the
    answer has `bits` as well, they decide: a daemon that displays its target as hashes are displayed is
    understood as well, and one whose target is neither is refused.
    """
    if not isinstance(answer, dict):
        raise ParseError(f"getauxblock: the answer is {excerpt(answer)}, not an object")
    chain_id = answer.get("chainid")
    if not isinstance(chain_id, int) or isinstance(chain_id, bool) or not 0 <= chain_id <= MAX_CHAIN_ID:
        raise ParseError(f"getauxblock: chainid is {excerpt(chain_id)}, not a number from 0 to {MAX_CHAIN_ID}")
    block_hash = int.from_bytes(_hex(answer.get("hash"), "hash", 32), "big")
    name = "target" if "target" in answer else "_target"
    expected = _target_of_bits(answer.get("bits"))
    if name not in answer and expected is not None:
        return AuxWork(chain_id, block_hash, expected)
    data = _hex(answer.get(name), name, 32)
    target = int.from_bytes(data, "little")
    if expected not in (None, target):
        target = int.from_bytes(data, "big")
        if expected != target:
            raise ParseError(f"getauxblock: {name} is not the target of bits {excerpt(answer['bits'])}")
    if target == 0:
        raise ParseError(f"getauxblock: {name} is 0, which no hash can meet")
    return AuxWork(chain_id, block_hash, target)


def _target_of_bits(bits: Any) -> int | None:
    if bits is None:
        return None
    compact = int.from_bytes(_hex(bits, "bits", 4), "big")
    if not is_compact_target(compact):
        raise ParseError(f"getauxblock: bits {compact:08x} are not a valid target")
    return bits_to_target(compact)


def _hex(text: Any, name: str, size: int) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", text):
        raise ParseError(f"getauxblock: {name} is {excerpt(text)}, not {2 * size} hex digits")
    return bytes.fromhex(text)


class AuxTable:
    """The current block of each chain. Bound: one a daemon.

    `changed` fires with each new commitment (None for none); `work_due` when miners should get jobs with it.
    """

    def __init__(self, environment: Environment) -> None:
        self.changed: Event[AuxCommitment | None] = Event()
        self.work_due: Event[None] = Event()
        self._reactor = environment.reactor
        self._works: dict[int, tuple[AuxDaemon, AuxWork]] = {}
        """By chain id."""
        self._last_broadcast: float | None = None
        self._waiting: IDelayedCall | None = None

    def take(self, daemon: AuxDaemon, work: AuxWork) -> None:
        """Take a daemon's newest work. Raises ChainTaken if another one has its chain; it has no work then."""
        held = self._works.get(work.chain_id)
        if held is not None and held[0] is not daemon:
            self.drop(daemon)
            raise ChainTaken(
                f"chain {work.chain_id} is already mined with {held[0].url}, so this daemon is not used; name "
                "one daemon per chain"
            )
        if held is not None and held[1] == work:
            return
        self._works = {c: entry for c, entry in self._works.items() if entry[0] is not daemon}
        self._works[work.chain_id] = (daemon, work)
        self._notify()

    def drop(self, daemon: AuxDaemon) -> None:
        """Forget the work of a daemon that no longer gives any."""
        remaining = {c: entry for c, entry in self._works.items() if entry[0] is not daemon}
        if len(remaining) < len(self._works):
            self._works = remaining
            self._notify()

    def stop(self) -> None:
        """Stop causing job broadcasts."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _notify(self) -> None:
        self.changed.fire(commit_to(work for _, work in self._works.values()))
        if self._waiting is not None:
            return
        now = self._reactor.seconds()
        if self._last_broadcast is None or now >= self._last_broadcast + PAUSE:
            self._request_broadcast()
        else:
            self._waiting = self._reactor.callLater(self._last_broadcast + PAUSE - now, self._request_broadcast)

    def _request_broadcast(self) -> None:
        self._waiting = None
        self._last_broadcast = self._reactor.seconds()
        self.work_due.fire(None)


# --- daemons -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuxFigures:
    """What pages show of a daemon. `chain_id` is None before its first answer; `problem` while all is well."""

    url: str
    chain_id: int | None
    accepted: int
    refused: int
    problem: str | None


class AuxDaemon:
    """One daemon, which is polled. `url` is its address without credentials."""

    def __init__(self, environment: Environment, rpc: Caller, *, url: str, table: AuxTable) -> None:
        self.url = url
        self.receiver = AuxReceiver(environment, rpc, url)
        self.problem: str | None = "not polled yet"
        self.chain_id: int | None = None
        self._reactor = environment.reactor
        self._rpc = rpc
        self._table = table
        self._given: BoundedSet[AuxWork] = BoundedSet(_KNOWN_WORKS)
        self._last_work: float | None = None
        self._well_since: float | None = None
        self._reported: str | None = None
        """The problem that was logged last; None if its end was logged as well."""
        self._quiet_until = float("-inf")

    def knows(self, work: AuxWork) -> bool:
        """Return whether it gave this work."""
        return work in self._given

    @property
    def figures(self) -> AuxFigures:
        """Return what pages show of this daemon."""
        return AuxFigures(self.url, self.chain_id, self.receiver.accepted, self.receiver.refused, self.problem)

    async def run(self) -> None:
        """Poll the daemon until cancelled."""
        backoff = Backoff(POLL_PERIOD * 2, _LAST_RETRY)
        while True:
            try:
                await self._poll()
                backoff.reset()
                wait = POLL_PERIOD
            except CancelledError:
                raise
            except (RpcError, RpcUnavailable, ParseError, ChainTaken) as error:
                self._report(str(error))
                wait = backoff.next_wait()
            except Exception:
                # A bug must not end the work of the chain.
                if self._report("internal error; see the log"):
                    _log.failure("internal error in merged mining with {url}", url=self.url)
                backoff.skip_to_longest()
                wait = backoff.next_wait()
            await deferLater(self._reactor, wait, lambda: None)

    async def _poll(self) -> None:
        work = parse_aux_work(await self._rpc.call("getauxblock", timeout=POLL_TIMEOUT))
        self._table.take(self, work)
        if self.chain_id is None:
            _log.info("merged mining of chain {chain} with {url}", chain=work.chain_id, url=self.url)
        self.chain_id = work.chain_id
        self._given.add(work)
        self._last_work = self._reactor.seconds()
        self._well()

    def _well(self) -> None:
        now = self._reactor.seconds()
        if self.problem is not None or self._well_since is None:
            self._well_since = now
        self.problem = None
        if self._reported is not None and now - self._well_since >= WELL_AFTER:
            self._reported = None
            _log.info("merged mining with {url} works again", url=self.url)

    def _report(self, problem: str) -> bool:
        """Keep a problem for pages and log it, once, and not often. Return whether it was logged."""
        now = self._reactor.seconds()
        self.problem = problem
        if self._last_work is not None and now - self._last_work > WORK_LIFETIME:
            self._table.drop(self)
        if problem == self._reported or now < self._quiet_until:
            return False
        self._reported, self._quiet_until = problem, now + REPORT_PERIOD
        _log.warn("merged mining with {url}: {problem}; retrying", url=self.url, problem=problem)
        return True


class MergedMining:
    """All daemons, the table of their works, and the delivery of their blocks: one object for the composition
    root.

    `directory` is for proofs that no daemon took.
    """

    def __init__(self, environment: Environment, urls: Sequence[DaemonUrl], directory: Path) -> None:
        self.table = AuxTable(environment)
        self.submitter = AuxSubmitter(environment, directory)
        self._clients = [
            RpcClient(environment, url.address(0), _credentials(url), max_answer=MAX_ANSWER) for url in urls
        ]
        self.daemons = [
            AuxDaemon(environment, client, url=client.url, table=self.table) for client in self._clients
        ]
        self._tasks: list[Deferred[None]] = []

    def start(self) -> None:
        """Begin to poll all daemons."""
        for daemon in self.daemons:
            task = Deferred.fromCoroutine(daemon.run())
            task.addErrback(_ended)
            self._tasks.append(task)

    def offer(self, work: AuxWork, proof: Callable[[], bytes], worker: str) -> None:
        """Send a found block of an auxiliary chain to the daemon that gave the work. `proof` is asked for
        the packed AuxPow where it is needed."""
        for daemon in self.daemons:
            if daemon.knows(work):
                self.submitter.offer(daemon.receiver, work, proof=proof, worker=worker)
                return

    @property
    def figures(self) -> list[AuxFigures]:
        """Return what pages show of each daemon, in the order of the flags."""
        return [daemon.figures for daemon in self.daemons]

    async def stop(self) -> None:
        """End everything; proofs under way are on disk when this returns."""
        self.table.stop()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await self.submitter.stop()
        closing = [Deferred.fromCoroutine(client.close()) for client in self._clients]
        await DeferredList(closing, consumeErrors=True)


def _ended(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("internal error: merged mining with a daemon has stopped", failure)


def _credentials(url: DaemonUrl) -> CredentialSource:
    """Return the credentials of a URL: `settings.read_merged_url` takes none without."""
    return url.credentials("of --merged") or FixedCredentials(Credentials("", "", "of --merged"))
