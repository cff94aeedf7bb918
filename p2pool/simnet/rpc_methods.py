"""All JSON-RPC methods of the simulated Dash Core but the controls: one table of all topics, and `help`."""

from __future__ import annotations

import json

from p2pool.base.observable import Event
from p2pool.simnet.context import NodeContext
from p2pool.simnet.rpc import JsonKind, Method, MethodParameter, Row, make_methods
from p2pool.simnet.rpc_chain import ChainMethods
from p2pool.simnet.rpc_masternodes import MasternodeMethods
from p2pool.simnet.rpc_mining import MiningMethods
from p2pool.simnet.rpc_network import NetworkMethods
from p2pool.simnet.rpc_transactions import TransactionMethods


class RpcMethods:
    """The methods of one daemon."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self.stop_requested: Event[None] = Event()
        """Fires when somebody calls `stop`."""

    def rows(self) -> list[Row]:
        """Every method with its parameters."""
        context = self._context
        return [
            *MiningMethods(context).rows(),
            *ChainMethods(context).rows(),
            *TransactionMethods(context).rows(),
            *NetworkMethods(context).rows(),
            *MasternodeMethods(context).rows(),
            (self.uptime, ()),
            (self.stop, (MethodParameter("wait", JsonKind.NUMBER),)),
        ]

    def uptime(self) -> object:
        """Seconds since the start."""
        return int(self._context.uptime())

    def stop(self, wait: object) -> object:
        """Ask the owner to end."""
        self.stop_requested.fire(None)
        return "Dash Core stopping"


def build_methods(methods: RpcMethods) -> dict[str, Method]:
    """Return the table, `help` included."""
    table = make_methods(methods.rows())
    add_help(table)
    return table


def add_help(table: dict[str, Method]) -> None:
    """Add `help`, which lists the table as it is when it is called."""

    def help_(command: str | None) -> object:
        """Return all methods, or one."""
        if command is None:
            return "\n".join(sorted(table))
        if command not in table:
            return f"help: unknown command: {json.dumps(command)}\n"
        return table[command].usage

    table["help"] = Method("help", (MethodParameter("command", JsonKind.STRING),), help_, "All methods, or one.")
