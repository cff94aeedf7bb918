"""Replacing a process by another one without losing a miner.

::

    old process                          new process (--take-over)
    serves miners                        reads settings, constructs its services,
                                         makes sure that there is work, loads shares
                          <-- hello --   names the form of the state that it reads
    stops all services, keeps sockets
    releases the data directory
                          -- state, sockets -->
                                         locks the data directory, loads newer shares, gets work
                          <-- ready --
                          -- go -->      serves miners
                          <-- serving --
    exits

While neither serves them, miners' bytes wait in the kernel. If the new process ends, or is not ready in time, the
old one starts its services again and continues with the same connections. If the old process ends, the new one
starts as usual, or serves the miners if it has them already; the lock of the data directory shows which of several
new processes that is. Both ends block in threads of their own.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.handover import BASIC_FORM, FORM, HandedOver
from p2pool.base.errors import OperatorError, ParseError, reason_of
from p2pool.base.handover_socket import HandoverSocket, close_all, connect, listen
from p2pool.networks.parameters import Network

SOCKET_NAME: Final = "take-over"
"""The Unix socket in the data directory of a network."""
NO_FORM: Final = ""
"""The form that a process names which takes no miners: they reconnect to other gateways."""
EXIT_TIME: Final = 2.0
"""Seconds that a process that closed the connection has to end."""
HELLO_TIME: Final = 5.0
"""Seconds for short answers."""
CONSTRUCTION_TIME: Final = 180.0
"""Seconds that a new process has to construct its services and to load shares, once it is connected."""
STOP_TIME: Final = 60.0
"""Seconds that the old process has to stop its services."""
READY_TIME: Final = 60.0
"""Seconds that the new process has until it could serve miners: to restore their sessions and to get work."""
END_TIME: Final = 10.0
"""Seconds that a new process that is not ready has to end, before it is killed."""
_log = Logger(namespace="p2pool")


class FormerEnded(Exception):
    """The process that was to be replaced closed the connection before it handed anything over."""


class Replaceable(Protocol):
    """The program that another process may replace. All methods are called in the reactor's thread."""

    def hand_over(self, whole: bool, answer: Callable[[HandedOver | None], None]) -> None:
        """Stop all services, and answer with the miners' connections; with None if that is not possible now.
        Unless `whole`, the connections end, and there is only what miners need to resume their sessions."""

    def leave(self, process: int) -> None:
        """End this process: the process of this number serves the miners now."""

    def recover(self, handed: HandedOver) -> None:
        """Serve the miners again: no other process took over."""


class HandoverServer:
    """Waits in a thread for a process that takes over."""

    def __init__(self, reactor: IReactorFromThreads, directory: Path, program: Replaceable) -> None:
        self._reactor = reactor
        self._path = directory / SOCKET_NAME
        self._program = program

    def start(self) -> None:
        """Listen; without a Unix socket, the process can only be restarted as usual."""
        try:
            listening = listen(self._path)
        except OSError as error:
            _log.warn("--take-over will not work: cannot listen at {path}: {why}", path=str(self._path), why=error)
            return
        threading.Thread(target=self._serve, args=(listening,), name="take-over", daemon=True).start()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            end = HandoverSocket(connection)
            try:
                if self.serve_one(end):
                    listening.close()
                    return
            except (OSError, ParseError) as error:
                self._log("a process that asked to take over failed: {why}", why=reason_of(error))
            except Exception:
                _log.failure("internal error: answering a process that asked to take over failed")
            finally:
                end.close()

    def serve_one(self, end: HandoverSocket) -> bool:
        """Deal with one process. Return whether it took over."""
        end.set_deadline(CONSTRUCTION_TIME)
        process, user = end.peer
        if user != os.geteuid():
            self._log("rejected a take-over by user {user}", user=user)
            return False
        if process <= 0:  # as the kernel says of a process that this one cannot see, and could not end
            self._log("rejected a take-over by a process of another PID namespace")
            return False
        hello = end.receive()
        refusal = refusal_of(hello)
        if refusal is not None:
            self._log("process {process} cannot take over: {why}", process=process, why=refusal)
            end.send({"refused": refusal})
            return False
        whole = hello["form"] == FORM
        self._log("process {process} takes over", process=process)
        if hello["form"] == NO_FORM:
            self._log("this gateway is not needed any more: asking miners to reconnect")
        elif not whole:
            self._log(
                "version {version} cannot read the whole state of version {own}: asking miners to reconnect",
                version=str(hello.get("version"))[:40],
                own=__version__,
            )
        answers: queue.Queue[HandedOver | None] = queue.Queue(1)
        self._reactor.callFromThread(self._program.hand_over, whole, answers.put)
        handed = answers.get()
        if handed is None:
            end.set_deadline(HELLO_TIME)
            end.send({"refused": "it is stopping or still starting"})
            return False
        try:
            end.set_deadline(READY_TIME)
            end.send({"sockets": len(handed.sockets), "whole": whole})
            end.send_bytes(handed.document(whole=whole))
            end.send_sockets(handed.sockets)
            if end.receive() != {"ready": True}:
                raise ParseError("it did not become ready")
            end.send({"go": True})
            end.set_deadline(HELLO_TIME)
            if end.receive() != {"serving": True}:
                raise ParseError("it did not begin to serve")
        except Exception as error:  # whatever it is, somebody has to serve the miners
            self._log("process {process} did not take over: {why}", process=process, why=reason_of(error))
            _end(end, process)
            self._reactor.callFromThread(self._program.recover, handed)
            return False
        self._reactor.callFromThread(self._program.leave, process)
        return True

    def _log(self, line: str, **fields: object) -> None:
        self._reactor.callFromThread(lambda: _log.info(line, **fields))


def refusal_of(hello: Any) -> str | None:
    """Return why the sender of this hello cannot take over; None if it can."""
    if not isinstance(hello, dict) or not isinstance(hello.get("form"), str):
        return "it did not say what it reads"
    if hello["form"] != FORM and hello.get("basic") != BASIC_FORM:
        version = str(hello.get("version"))[:40]
        return f"version {version} cannot read the state of version {__version__}: restart the node as usual"
    return None


def _end(end: HandoverSocket, process: int) -> None:
    """Let the process at the other end give up, and kill it if it does not: it may hold the data directory."""
    end.set_deadline(END_TIME)
    with contextlib.suppress(OSError):
        end.send({"stop": True})
    if not end.wait_for_end():
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
        end.set_deadline(END_TIME)
        end.wait_for_end()


class HandoverClient:
    """The new process' end. `take` and `confirm` block."""

    def __init__(self, end: HandoverSocket, network: Network) -> None:
        self._end = end
        self._network = network

    @classmethod
    def find(cls, directory: Path, network: Network) -> HandoverClient | None:
        """Return a connection to the process that uses a data directory; None if there is none. Raises
        OperatorError if that process belongs to another user."""
        path = directory / SOCKET_NAME
        try:
            end = connect(path, HELLO_TIME)
        except PermissionError as error:
            raise OperatorError(
                f"--take-over: cannot connect to {path}: {error.strerror}. Run this process as the user of the "
                "process that it replaces"
            ) from None
        except OSError:
            return None
        try:
            _, user = end.peer
        except OSError:
            return None
        if user != os.geteuid():
            raise OperatorError(f"--take-over: the data directory is in use by user {user}")
        return cls(end, network)

    def take(self) -> HandedOver:
        """Return what the old process hands over, once it has stopped. Raises OperatorError, and FormerEnded if
        the connection is closed before everything is here."""
        sockets: list[socket.socket] = []
        try:
            self._end.set_deadline(HELLO_TIME + STOP_TIME)
            self._end.send({"form": FORM, "basic": BASIC_FORM, "version": __version__})
            answer = self._end.receive()
            if not isinstance(answer, dict) or not isinstance(answer.get("sockets"), int):
                refused = answer.get("refused") if isinstance(answer, dict) else answer
                raise OperatorError(f"--take-over: the running process refused: {refused}")
            document = self._end.receive_bytes()
            sockets = self._end.receive_sockets(answer["sockets"])
            whole = answer.get("whole") is True
            return HandedOver.parse(document, sockets, whole=whole, network=self._network)
        except ConnectionError:
            close_all(sockets)
            # A process that is killed closes its ports a moment later: until then nobody else can open them.
            self._end.wait_for_exit(EXIT_TIME)
            raise FormerEnded from None
        except (OSError, ParseError) as error:
            close_all(sockets)
            raise OperatorError(f"--take-over: {reason_of(error)}", 1) from None

    def confirm(self) -> None:
        """Tell the old process that this one is ready, and wait until it lets go. Raises OperatorError if it does
        not: then it serves the miners itself. If it is gone without a word, there is nobody else to serve them."""
        try:
            self._end.set_deadline(HELLO_TIME)
            try:
                with contextlib.suppress(BrokenPipeError):  # what it said before its end can still be read
                    self._end.send({"ready": True})
                answer = self._end.receive()
            except ConnectionResetError:
                answer = {"go": True}
            if answer == {"go": True}:
                with contextlib.suppress(OSError):
                    self._end.send({"serving": True})
        except (OSError, ParseError) as error:
            raise OperatorError(
                f"--take-over: the running process did not let go: {reason_of(error)}", 1
            ) from None
        finally:
            self._end.close()
        if answer != {"go": True}:
            raise OperatorError("--take-over: this process was not ready in time; the running one continues", 1)
