"""Directories of gateways that this node does not start: it was started with more of them before.

A process that still uses such a directory belongs to the node that this one replaces: it asks its miners to
reconnect, and ends. What the gateway found and no node has stored is moved to the first gateway, which sends it at
its start.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.data_directory import DataDirectory
from p2pool.app.handover import BASIC_FORM
from p2pool.app.take_over import NO_FORM, SOCKET_NAME
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError, ParseError, reason_of
from p2pool.base.files import synchronise
from p2pool.base.handover_socket import close_all, connect
from p2pool.gateway.solution_spool import SUFFIX

DIRECTORY: Final = "gateways"
"""The directory of all gateways in that of the node."""
SOLUTIONS: Final = "solutions"
"""A gateway's directory of what no node has stored yet."""
DISMISSAL_TIME: Final = 15.0
"""Seconds in which a gateway that is not needed any more ends."""
_POLL: Final = 0.1
_log = Logger(namespace="p2pool.gateway")


async def collect_leftovers(environment: Environment, directory: Path, *, network: str, count: int) -> None:
    """Empty the directories of gateways beyond `count`, below the directory of the node. This takes some seconds
    if one of them is in use."""
    target = directory / DIRECTORY / "1" / network / SOLUTIONS
    found = await environment.run_in_daemon_thread(lambda: _leftovers(directory / DIRECTORY, network, count))
    for number, leftover in found:
        if await environment.run_in_daemon_thread(partial(dismiss, leftover)):
            _log.info("gateway {number} is not needed any more: its miners reconnect to the others", number=number)
        try:
            moved = await _collect(environment, leftover, target)
        except (OSError, OperatorError) as error:
            _log.error(
                "cannot send what gateway {number} left in {directory}: {why}; the next start tries again",
                number=number,
                directory=str(leftover / SOLUTIONS),
                why=reason_of(error),
            )
            continue
        if moved:
            _log.info("gateway 1 sends {count} solutions that gateway {number} left", number=number, count=moved)


def warn_of_leftovers(directory: Path, network: str) -> None:
    """Tell the operator of a node without gateways what gateways of an earlier run have left."""
    found = [path for _, each in _leftovers(directory / DIRECTORY, network, 0) for path in _solutions(each)]
    if found:
        _log.warn(
            "{count} solutions of gateways that are no longer started are in {directory}: start the node with "
            "--gateways 1 once to send them",
            count=len(found),
            directory=str(directory / DIRECTORY),
        )


def _leftovers(directory: Path, network: str, count: int) -> list[tuple[int, Path]]:
    """Return the numbers and directories of gateways beyond `count`."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    numbers = sorted(int(name) for name in names if name.isascii() and name.isdigit())
    found = [(number, directory / str(number) / network) for number in numbers if number > count]
    return [(number, path) for number, path in found if path.is_dir()]


async def _collect(environment: Environment, leftover: Path, target: Path) -> int:
    """Move the solutions of a directory, once nobody uses it. Return how many there were. Raises OSError,
    OperatorError."""
    deadline = environment.monotonic() + DISMISSAL_TIME
    while True:
        try:
            return await environment.run_in_daemon_thread(partial(_move_unless_used, leftover, target))
        except OperatorError:
            if environment.monotonic() >= deadline:
                raise
        await deferLater(environment.reactor, _POLL, lambda: None)


def _move_unless_used(leftover: Path, target: Path) -> int:
    """Move the solutions of a directory. Return how many there were. Raises OSError, and OperatorError if a
    process uses the directory."""
    lock = DataDirectory(leftover)
    try:
        return _move(_solutions(leftover), target)
    finally:
        lock.release()


def _solutions(leftover: Path) -> list[Path]:
    """Return the files of solutions that a gateway left."""
    return list((leftover / SOLUTIONS).glob(f"*{SUFFIX}"))


def _move(files: list[Path], target: Path) -> int:
    """Move files of one directory. Return how many there are. Raises OSError."""
    if files:
        target.mkdir(parents=True, exist_ok=True)
    for path in files:
        os.replace(path, target / path.name)  # named by its hash: the same name is the same solution
    for changed in {target, *(path.parent for path in files)} if files else ():
        synchronise(changed)
    return len(files)


def dismiss(directory: Path) -> bool:
    """Ask the gateway that uses a directory to end, and its miners to reconnect. Return whether there is one, and
    it does so."""
    try:
        end = connect(directory / SOCKET_NAME, DISMISSAL_TIME)
    except OSError:
        return False
    try:
        _, user = end.peer
        if user != os.geteuid():
            return False
        end.send({"form": NO_FORM, "basic": BASIC_FORM, "version": __version__})
        answer = end.receive()
        if not isinstance(answer, dict) or not isinstance(answer.get("sockets"), int):
            return False
        end.receive_bytes()
        close_all(end.receive_sockets(answer["sockets"]))
        end.send({"ready": True})
        if end.receive() != {"go": True}:
            return False
        end.send({"serving": True})
    except (OSError, ParseError) as error:
        _log.warn(
            "the gateway in {directory} does not end as asked: {why}",
            directory=str(directory),
            why=reason_of(error),
        )
        return False
    finally:
        end.close()
    return True
