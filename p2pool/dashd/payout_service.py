"""Keeps the node's own payout addresses: reads those of earlier runs, asks dashd's wallet, writes them down.

The composition root starts it if the operator gave no address. It never gives up: while dashd is unreachable or
has no wallet, it retries with back-off, and everything else runs.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool.base.backoff import Backoff
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.dashd.payout_addresses import (
    OwnAddress,
    PayoutAddresses,
    PayoutMode,
    parse_cached,
    parse_dynamic,
    render_cached,
    render_dynamic,
)
from p2pool.dashd.rpc import RpcUnavailable
from p2pool.dashd.wallet import Ownership, UnusableAnswer, Wallet, WalletProblem, unusable
from p2pool.networks.parameters import Network

_log = Logger(namespace="p2pool.payout")

CACHED_FILE = StateFormat("cached_payout_address", "the payout address of earlier runs", 64 * 1024)
"""A line of text, as legacy p2pool-dash writes it."""
DYNAMIC_FILE = StateFormat("dynamic-addresses.json", "the payout addresses of earlier runs", 64 * 1024)
"""A hundred addresses are about ten thousand bytes."""
FIRST_RETRY, LAST_RETRY = 1.0, 30.0
LAST_RETRY_OF_KEYS = 600.0
"""Seconds. If answers are unusable, each request makes the wallet a key that nobody uses."""
CHECK_PERIOD = 60.0
"""Seconds after which it is checked again whether an address is due, since clocks may be set."""


class PayoutService:
    """Keeps the payout addresses of the node. `directory` is the network's own below the data directory."""

    def __init__(
        self,
        environment: Environment,
        *,
        payouts: PayoutAddresses,
        mode: PayoutMode,
        wallet: Wallet,
        network: Network,
        directory: Path,
    ) -> None:
        self._reactor = environment.reactor
        self._payouts = payouts
        self._mode = mode
        self._wallet = wallet
        self._network = network
        form = CACHED_FILE if mode is PayoutMode.WALLET else DYNAMIC_FILE
        self._file = StateFile(directory / form.name, form)
        self._clock = environment.clock
        self._run_in_thread = environment.run_in_thread
        self._task: Deferred[None] | None = None
        self._stopped = False
        self._unchecked: list[OwnAddress] = []
        """Addresses of earlier runs that the wallet was not asked about yet."""
        self._unsaved = False
        self._waiting = False
        """Whether dashd is unreachable, which was logged."""

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep addresses; they come later."""
        self._task = task = Deferred.fromCoroutine(self._run())
        task.addErrback(lambda failure: failure.trap(CancelledError))
        task.addErrback(lambda failure: _log.failure("internal error while keeping payout addresses", failure))

    def stop(self) -> None:
        """End, and cancel what is under way."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await self._restore()
        backoff = Backoff(FIRST_RETRY, LAST_RETRY_OF_KEYS)
        while True:
            longest = await self._try()
            if self._unsaved:
                await self._save()
            if longest is not None:
                await self._sleep(min(backoff.next_wait(), longest))
                continue
            backoff.reset()
            due = self._payouts.seconds_until_due(self._clock())
            if due is None and not self._unsaved:
                return
            if due != 0:
                await self._sleep(CHECK_PERIOD if due is None else min(due, CHECK_PERIOD))

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds, lambda: None)

    # --- the wallet --------------------------------------------------------------------------------------

    async def _try(self) -> float | None:
        """Make the requests to the wallet that are due. Return None on success, else the longest wait before a
        retry."""
        try:
            while self._unchecked:
                await self._check(self._unchecked[0])
                del self._unchecked[0]
            if self._payouts.seconds_until_due(self._clock()) == 0:
                await self._take()
        except RpcUnavailable as error:
            if self._stopped:  # a call that ended because the service stops
                raise CancelledError from None
            if not self._waiting:
                self._waiting = True
                _log.info("waiting for dashd to give a payout address: {error}", error=error)
            return LAST_RETRY
        except WalletProblem as error:
            self._waiting = False
            self._trouble(str(error))
            return LAST_RETRY_OF_KEYS if isinstance(error, UnusableAnswer) else LAST_RETRY
        self._waiting = False
        return None

    async def _check(self, own: OwnAddress) -> None:
        """Warn of an address that the wallet does not know: it may be another wallet's, and right."""
        if await self._wallet.ownership(own.address) is Ownership.FOREIGN:
            _log.warn(
                "the payout address {address} from {path} is not in dashd's wallet; using it anyway. If it is "
                "not yours, delete that file and restart the node, or give -a ADDRESS",
                address=own.address,
                path=str(self._file.path),
            )

    async def _take(self) -> None:
        own = await self._wallet.new_address(self._clock() if self._mode is PayoutMode.DYNAMIC else None)
        try:
            self._payouts.take(own)
        except ParseError as error:
            raise unusable(own.address, error) from None
        self._payouts.problem = None
        self._unsaved = True
        self._log_addresses()

    def _trouble(self, problem: str) -> None:
        """Log what the operator has to fix, once."""
        if not self._payouts.addresses:
            problem = f"this node has no payout address of its own and takes no fee: {problem}"
        if problem != self._payouts.problem:
            self._payouts.problem = problem
            _log.warn("payout address: {problem}; retrying", problem=problem)

    def _log_addresses(self) -> None:
        addresses = " or ".join(own.address for own in self._payouts.addresses)
        _log.info("this node's own payouts go to {addresses}", addresses=addresses)

    # --- the file ----------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        known, refused = await self._run_in_thread(self._read)
        if refused:
            _log.warn(
                "ignored {count} unusable addresses in {path}; the first: {first}",
                path=str(self._file.path),
                count=len(refused),
                first=refused[0],
            )
        self._payouts.restore(known, self._clock())
        self._unchecked = list(self._payouts.addresses)
        if self._unchecked:
            self._log_addresses()

    def _read(self) -> tuple[list[OwnAddress], list[str]]:
        """Return the kept addresses, and what is wrong with others. Called in a thread."""
        if self._mode is PayoutMode.WALLET:
            own = self._file.read_bytes(lambda data: parse_cached(data, self._network))
            return [] if own is None else [own], []
        return self._file.read(lambda document: parse_dynamic(document, self._network)) or ([], [])

    async def _save(self) -> None:
        addresses = self._payouts.addresses

        def write() -> bool:
            if self._mode is PayoutMode.WALLET:
                return self._file.save_bytes(render_cached(addresses[-1]))
            return self._file.save(render_dynamic(addresses))

        if await self._run_in_thread(write):
            self._unsaved = False
