"""The command line of the CPU miner."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from urllib.parse import urlsplit


def _pool_address(text: str) -> tuple[str, int]:
    """Return host and port of stratum+tcp://HOST:PORT. Raises ArgumentTypeError, as argparse expects."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not stratum+tcp://HOST:PORT: {error}") from None
    if url.scheme != "stratum+tcp" or not host or not port:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form stratum+tcp://HOST:PORT")
    return host, port


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not positive")
        return value

    parse.__name__ = "number"
    return parse


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line; exits if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m p2pool.simnet.miner", description="X11 on the CPU, over stratum."
    )
    parser.add_argument("-o", "--url", type=_pool_address, required=True, help="stratum+tcp://HOST:PORT")
    parser.add_argument("-u", "--user", required=True, help="payout address, as ADDRESS[.worker]")
    parser.add_argument(
        "-p", "--password", default="x", help="used by some pools for d=DIFFICULTY (default: %(default)s)"
    )
    parser.add_argument("-t", "--threads", type=_positive(int), default=1, help="default: %(default)s")
    parser.add_argument("--max-hash-rate", type=_positive(float), help="hashes a second, of all threads together")
    parser.add_argument(
        "--report-every", type=_positive(float), default=5.0, help="seconds (default: %(default)s)"
    )
    return parser.parse_args(arguments)
