"""The `simnet_*` methods: what tests and operators make the simulated network do, and its faults."""

from __future__ import annotations

from collections.abc import Callable

from p2pool.simnet.faults import ErrorKind, FaultControls
from p2pool.simnet.finder import BlockFinder, FinderBusy
from p2pool.simnet.render import hash_hex
from p2pool.simnet.rpc import INVALID_PARAMETER, MISC_ERROR, Kind, Method, Parameter, RpcError
from p2pool.simnet.transactions import TransactionMaker

_LONGEST_FAULT = 3600.0
_MOST_ERRORS = 10_000
_MOST_TRANSACTIONS = 200


class RpcControls:
    """The controls over one simulation."""

    def __init__(self, finder: BlockFinder, faults: FaultControls, transactions: TransactionMaker) -> None:
        self._finder = finder
        self._faults = faults
        self._transactions = transactions

    async def simnet_findblock(self, count: object, fork_depth: object) -> object:
        """The rest of the network finds blocks, the first on the block fork_depth below the tip; their hashes."""
        try:
            return await self._finder.find(_whole(count, "count", 1), _whole(fork_depth, "fork_depth", 0))
        except FinderBusy:
            raise RpcError(MISC_ERROR, "A search for a block is under way") from None
        except ValueError as error:
            raise RpcError(INVALID_PARAMETER, str(error)) from None

    def simnet_silence(self, seconds: float) -> object:
        """Accept calls and answer nothing for so many seconds."""
        self._faults.silence(_bounded(seconds, "seconds", _LONGEST_FAULT))
        return None

    def simnet_error(self, calls: object, kind: object) -> object:
        """Fail the next calls: internal (-32603), warmup (-28), notconnected (-9) or initialdownload (-10)."""
        try:
            error = ErrorKind.INTERNAL if kind is None else ErrorKind(kind)
        except ValueError:
            kinds = ", ".join(each.value for each in ErrorKind)
            raise RpcError(INVALID_PARAMETER, f"kind must be one of {kinds}") from None
        self._faults.fail(int(_bounded(_whole(calls, "calls", 1), "calls", _MOST_ERRORS)), error)
        return None

    def simnet_delay(self, seconds: float) -> object:
        """Answer every call so many seconds late; 0 ends it."""
        self._faults.delay(_bounded(seconds, "seconds", _LONGEST_FAULT))
        return None

    def simnet_sendtx(self, count: object) -> object:
        """Make transactions now; their hashes (fewer where the mempool is full)."""
        number = int(_bounded(_whole(count, "count", 1), "count", _MOST_TRANSACTIONS))
        made = [self._transactions.make() for _ in range(number)]
        return [hash_hex(entry.hash) for entry in made if entry is not None]


def _whole(value: object, name: str, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int):
        raise RpcError(INVALID_PARAMETER, f"{name} must be a whole number")
    return value


def _bounded(value: float, name: str, limit: float) -> float:
    if not 0 <= value <= limit:
        raise RpcError(INVALID_PARAMETER, f"{name} must be between 0 and {limit:g}")
    return value


def add_controls(table: dict[str, Method], controls: RpcControls) -> None:
    """Add the methods to a table of methods."""
    count, seconds = Parameter("count", Kind.NUMBER), Parameter("seconds", Kind.NUMBER, True)
    rows: list[tuple[Callable[..., object], tuple[Parameter, ...]]] = [
        (controls.simnet_findblock, (count, Parameter("fork_depth", Kind.NUMBER))),
        (controls.simnet_silence, (seconds,)),
        (controls.simnet_error, (Parameter("calls", Kind.NUMBER), Parameter("kind", Kind.STRING))),
        (controls.simnet_delay, (seconds,)),
        (controls.simnet_sendtx, (count,)),
    ]
    for handler, parameters in rows:
        name = handler.__name__
        table[name] = Method(name, parameters, handler, (handler.__doc__ or "").strip())
