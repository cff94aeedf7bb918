"""Deliver found blocks of auxiliary chains to their daemons, and report what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.files import write_file
from p2pool.base.ordered_set import OrderedSet
from p2pool.base.text import excerpt
from p2pool.dash.auxpow import AuxWork
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.answers import Verdict, judge
from p2pool.dashd.rpc import Caller, RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.merged")

SUBMIT_TIMEOUT = 30.0
RETRIES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each retry of a block that got no answer; after the last it is given up."""
MAX_UNDER_WAY = 8
"""Blocks that wait for one daemon; more means that it does not answer."""
MAX_REFUSALS = 3
"""Proofs for one block that its daemon refused, after which no more are sent."""
MAX_KEPT = 100
"""Files; the oldest go first. A proof has a few kilobytes, its hex twice as many."""
REPORT_PERIOD = 60.0
"""Seconds between two log lines about blocks that one daemon did not take."""
_FINAL_ERRORS = frozenset({-3, -8, -22, -32601})
"""Codes that no other attempt changes: arguments of the wrong type, a block that is not on offer (any more), a
proof that cannot be decoded, an unknown method. All others may pass."""
_REMEMBERED = 1024
_SETTLED = MAX_REFUSALS


class AuxReceiver:
    """One daemon as the receiver of blocks: those that it took and refused, and those under way."""

    def __init__(self, environment: Environment, rpc: Caller, url: str) -> None:
        self.rpc = rpc
        self.url = url
        self.accepted = self.refused = 0
        self.under_way: set[int] = set()
        """Hashes of blocks; MAX_UNDER_WAY at most."""
        self._refusals: BoundedDict[int, int] = BoundedDict(_REMEMBERED)
        self._reactor = environment.reactor
        self._quiet_until = float("-inf")
        self._unreported = 0

    def is_useful(self, work: AuxWork) -> bool:
        """Return whether another proof for this block is of any use: with an easy target there may be many."""
        return work.hash not in self.under_way and self._refusals.get(work.hash, 0) < MAX_REFUSALS

    def settle(self, work: AuxWork) -> None:
        """Record that the block is in the chain."""
        self.accepted += 1
        self._refusals[work.hash] = _SETTLED

    def refuse(self, work: AuxWork) -> None:
        """Record that the block was not taken."""
        self.refused += 1
        self._refusals[work.hash] = self._refusals.get(work.hash, 0) + 1

    def may_report(self) -> str | None:
        """Return what to add to the log line of a refusal; None to log none, since there were others just
        before."""
        now = self._reactor.seconds()
        if now < self._quiet_until:
            self._unreported += 1
            return None
        before, self._unreported = self._unreported, 0
        self._quiet_until = now + REPORT_PERIOD
        return f" (and {before} others before it)" if before else ""


class AuxSubmitter:
    """Offers each block with a few retries. What no daemon took is a file, `CHAIN-HASH.hex`, with the AuxPow as
    `getauxblock HASH AUXPOW` takes it."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self._reactor = environment.reactor
        self._directory = directory
        self._run_in_thread = environment.run_in_thread
        self._tasks: OrderedSet[Deferred[None]] = OrderedSet()
        """Bound: MAX_UNDER_WAY a daemon."""

    def offer(self, receiver: AuxReceiver, work: AuxWork, *, proof: Callable[[], bytes], worker: str) -> None:
        """Send a block, unless the daemon has it or it is under way."""
        if not receiver.is_useful(work) or len(receiver.under_way) >= MAX_UNDER_WAY:
            return
        data = proof()
        receiver.under_way.add(work.hash)
        task = Deferred.fromCoroutine(self._submit(receiver, work, proof=data, worker=worker))
        if not task.called:
            self._tasks.add(task)
        task.addBoth(self._ended, task, receiver=receiver, work=work)

    def _ended(self, result: object, task: Deferred[None], *, receiver: AuxReceiver, work: AuxWork) -> None:
        self._tasks.discard(task)
        receiver.under_way.discard(work.hash)
        if isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("internal error while submitting a block of chain {chain}", result, chain=work.chain_id)

    async def stop(self) -> None:
        """Give up what is under way; it is on disk when this returns."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await DeferredList(tasks, consumeErrors=True)

    async def _submit(self, receiver: AuxReceiver, work: AuxWork, *, proof: bytes, worker: str) -> None:
        try:
            reason = await self._ask_until_answered(receiver, work, proof)
        except CancelledError:
            await self._keep(work, proof)
            raise
        if reason is None:
            receiver.settle(work)
            _log.info(
                "BLOCK of chain {chain} {block_hash} found by {worker}, accepted by {url}",
                chain=work.chain_id,
                block_hash=hash_hex(work.hash),
                worker=worker,
                url=receiver.url,
            )
            return
        receiver.refuse(work)
        kept = await self._keep(work, proof)
        others = receiver.may_report()
        if others is not None:
            _log.error(
                "block of chain {chain} {block_hash} found by {worker} NOT ACCEPTED by {url}: "
                "{reason}{others}; the proof is {kept}",
                chain=work.chain_id,
                block_hash=hash_hex(work.hash),
                worker=worker,
                url=receiver.url,
                reason=reason,
                others=others,
                kept="lost" if kept is None else f"kept in {kept}",
            )

    async def _ask_until_answered(self, receiver: AuxReceiver, work: AuxWork, proof: bytes) -> str | None:
        """Submit a block. Return None if it is accepted, else why not. `getauxblock` answers true or false, and
        with some daemons the texts of `submitblock`: all but a refusal by name, or an error about the arguments,
        is checked in the chain and sent again."""
        reason, arguments = "", (hash_hex(work.hash), proof.hex())
        for wait in (0.0, *RETRIES):
            if wait:
                await deferLater(self._reactor, wait, lambda: None)
            try:
                result = await receiver.rpc.call("getauxblock", *arguments, timeout=SUBMIT_TIMEOUT)
            except RpcError as error:
                if reason and await self._is_in_chain(receiver, work):
                    return None  # an answer was lost, or was no verdict; the block itself causes this error
                reason = str(error)
                if error.code in _FINAL_ERRORS:
                    return reason
            except RpcUnavailable as error:
                reason = f"not answered: {error}"
            else:
                if result is True:
                    return None
                if await self._is_in_chain(receiver, work):
                    return None
                reason = f"the daemon answered {excerpt(result)}"
                if isinstance(result, str) and judge(result) is Verdict.REFUSED:
                    return reason
        return reason

    async def _is_in_chain(self, receiver: AuxReceiver, work: AuxWork) -> bool:
        """Return whether the daemon has the block in its best chain; not every daemon can tell."""
        try:
            header = await receiver.rpc.call("getblockheader", hash_hex(work.hash), timeout=SUBMIT_TIMEOUT)
        except (RpcError, RpcUnavailable):
            return False
        depth = header.get("confirmations") if isinstance(header, dict) else None
        return isinstance(depth, int) and not isinstance(depth, bool) and depth > 0

    async def _keep(self, work: AuxWork, proof: bytes) -> Path | None:
        """Write a proof. Return its file; None if that failed."""
        path = self._directory / f"{work.chain_id}-{hash_hex(work.hash)}.hex"
        try:
            await self._run_in_thread(lambda: _write_and_tidy(path, proof.hex().encode() + b"\n"))
        except OSError as error:
            _log.error("cannot write the proof of a found block to {path}: {error}", path=str(path), error=error)
            return None
        return path


def _write_and_tidy(path: Path, data: bytes) -> None:
    """Write a file, and delete the oldest of its kind beyond MAX_KEPT. Raises OSError."""
    write_file(path, data)
    kept = sorted(path.parent.glob("*.hex"), key=lambda file: file.stat().st_mtime_ns)
    for file in kept[:-MAX_KEPT]:
        file.unlink(missing_ok=True)
