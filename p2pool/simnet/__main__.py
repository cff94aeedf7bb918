"""`python -m p2pool.simnet`: a simulated Dash Core alone, for trying a node or a miner against it."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import cast

from twisted.internet.error import CannotListenError
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import IReactor, real_environment
from p2pool.base.errors import OperatorError
from p2pool.base.signals import stop_at_hangup
from p2pool.base.terminal import open_standard_streams, open_terminal
from p2pool.networks import NETWORKS
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.parameters import MAX_CONNECT, MAX_OWNERS, VERSION, SimnetParameters
from p2pool.simnet.peer_name import parse_peer_name
from p2pool.simnet.rule_sets import parse_rules
from p2pool.simnet.service import SimulatedDash

_NETWORKS = ("simnet", "dash_regtest")


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return value


def _peer(text: str) -> tuple[str, int]:
    try:
        return parse_peer_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rules(text: str) -> int | None:
    try:
        return parse_rules(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _version(text: str) -> int:
    value = int(text)
    if not 0 <= value < 10**8:
        raise argparse.ArgumentTypeError(f"{text} is not a version such as {VERSION}")
    return value


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line. Ends the process for --help and for errors."""
    parser = argparse.ArgumentParser(
        prog="python -m p2pool.simnet",
        description="A simulated Dash Core: JSON-RPC and p2p of a real one, with a block chain of its own.",
    )
    parser.add_argument(
        "--network", choices=_NETWORKS, default="simnet", help="network whose ports and magic to use"
    )
    parser.add_argument("--datadir", type=Path, help="where to keep the chain (default: in memory only)")
    parser.add_argument("--rpc-port", type=_port, help="0 takes any free port (default: the network's)")
    parser.add_argument("--p2p-port", type=_port, help="0 takes any free port (default: the network's)")
    parser.add_argument("--rpc-user", help="default: user and password are generated and written to .cookie")
    parser.add_argument("--rpc-password")
    parser.add_argument("--block-period", type=_positive, help="target time between blocks, in seconds")
    parser.add_argument(
        "--initial-attempts", type=_positive, default=2**20, help="average number of hashes for the easiest block"
    )
    parser.add_argument(
        "--zmq-port", type=_port, help="publish hashblock over ZMQ here; 0 takes any free port (default: no ZMQ)"
    )
    parser.add_argument(
        "--connect",
        metavar="HOST:PORT",
        type=_peer,
        action="append",
        default=[],
        help=f"follow the chain of another simulated Dash Core, at this p2p port; up to {MAX_CONNECT} times",
    )
    parser.add_argument(
        "--reported-version", type=_version, default=VERSION, help="the version to report (default: %(default)s)"
    )
    parser.add_argument(
        "--rules",
        metavar="NAME[@HEIGHT]",
        type=_rules,
        help="the rules of the chain: v23, or v24@150 for those of Dash Core 24 from block 150 on (default: v23)",
    )
    parser.add_argument(
        "--owner-payouts",
        type=int,
        default=1,
        help=f"owners of a masternode under the rules of Dash Core 24, at most {MAX_OWNERS} (default: 1)",
    )
    parser.add_argument("--withdrawals", action="store_true", help="also make and re-sign asset unlocks")
    parser.add_argument(
        "--block-max-size",
        type=int,
        default=SimnetParameters().block_max_size,
        help="blockmaxsize of dash.conf: bytes that templates are filled to (default: %(default)s)",
    )
    parser.add_argument("--no-transactions", action="store_true", help="make no transactions")
    parser.add_argument("--debug", action="store_true", help="log debug messages as well")
    options = parser.parse_args(arguments)
    if len(set(options.connect)) > MAX_CONNECT:
        parser.error(f"--connect can be given for at most {MAX_CONNECT} other daemons")
    return options


def make_parameters(options: argparse.Namespace) -> SimnetParameters:
    """Return the parameters that the command line gives."""
    parent = NETWORKS[options.network].parent
    return SimnetParameters(
        parent=parent,
        data_directory=options.datadir,
        rpc_port=parent.rpc_port if options.rpc_port is None else options.rpc_port,
        p2p_port=parent.p2p_port if options.p2p_port is None else options.p2p_port,
        rpc_user=options.rpc_user,
        rpc_password=options.rpc_password,
        block_period=options.block_period or float(parent.block_period),
        initial_attempts=max(1, int(options.initial_attempts)),
        transaction_period=0.0 if options.no_transactions else SimnetParameters().transaction_period,
        zmq_port=options.zmq_port,
        connect=tuple(options.connect),
        reported_version=options.reported_version,
        v24_height=options.rules,
        owner_payouts=max(1, options.owner_payouts),
        withdrawals=options.withdrawals,
        block_max_size=options.block_max_size,
    )


def _start_logging(debug: bool) -> None:
    level = LogLevel.debug if debug else LogLevel.info
    observer = FilteringLogObserver(
        textFileLogObserver(open_terminal(sys.stderr)), [LogLevelFilterPredicate(level)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _describe_block(block: ChainBlock) -> str:
    return (
        f"block {block.height} {block.hash_hex} bits {block.header.bits:08x} "
        f"transactions {block.transaction_count} size {block.size}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C, and return the exit status."""
    open_standard_streams()
    options = parse_arguments(arguments)
    _start_logging(options.debug)
    screen = open_terminal(sys.stdout)
    # Only a program picks the reactor.
    from twisted.internet import reactor as global_reactor

    reactor = cast(IReactor, global_reactor)
    stop_at_hangup(reactor)
    parameters = make_parameters(options)
    try:
        service = SimulatedDash(real_environment(reactor), parameters)
        service.startService()
    except OperatorError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except CannotListenError as error:
        print(
            f"cannot listen on {host_and_port(parameters.rpc_host, error.port)}: {error.socketError}",
            file=sys.stderr,
        )
        return 2
    if service.cookie_path is not None:
        credentials = f"cookie {service.cookie_path}"
    elif options.rpc_user is None:
        credentials = f"user {service.rpc_user} password {service.rpc_password}"
    else:
        credentials = f"user {service.rpc_user}"
    zmq = "" if service.zmq_port is None else f", ZMQ 127.0.0.1:{service.zmq_port}"
    screen.write(
        f"simulated Dash Core ({parameters.chain_name}, height {service.chain.height}): "
        f"RPC 127.0.0.1:{service.rpc_port}, p2p 127.0.0.1:{service.p2p_port}{zmq}, {credentials}\n"
    )
    service.chain.block_connected.subscribe(lambda block: screen.write(_describe_block(block) + "\n"))
    service.stop_requested.subscribe(lambda _: reactor.callLater(0, reactor.stop))
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
