"""Where to look for other nodes if too few are connected: names and lists of well-known ones.

`service` asks when the remembered nodes are not enough. Names are resolved one after another in a thread, lists
are read again each time, so that an operator can change them while the node runs. Whatever is wrong with one of
them costs one line in the log and never the others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.error import ConnectError
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.endpoints import host_and_port, parse_host_and_port
from p2pool.base.errors import ParseError, reason_of
from p2pool.base.hosts import is_global, parse_address
from p2pool.base.text import printable
from p2pool.peers.figures import FoundBy, NodeOrigin
from p2pool.peers.messages import PeerAddress

_log = Logger(namespace="p2pool.peers")

LIST_FILE: Final = "bootstrap.txt"
"""In the data directory of the network, for the operator to write."""
MAX_FILE: Final = 64 * 1024
"""Bytes of a list."""
MAX_NODES: Final = 500
"""Nodes of a list: ten times the pool."""
MAX_OF_NAME: Final = 16
"""Addresses of one name that are used: the answers for one name must not fill the address book."""
MAX_FOUND: Final = 1000
"""Addresses that one look-up of everything gives."""
_REPORTED_LINES: Final = 5
"""Faulty lines of one list that are logged each; the others are counted."""


class BootstrapNode(NamedTuple):
    """A node as a list or flag names it: a name or an address, and a port, 0 for the network's."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Found:
    """An address, and where it was named."""

    address: PeerAddress
    by: FoundBy


@dataclass(frozen=True, slots=True)
class NodeList:
    """The content of a list: its nodes, and a sentence for each line that names none."""

    places: tuple[BootstrapNode, ...]
    problems: tuple[str, ...]


def parse_node_list(data: bytes) -> NodeList:
    """Return what a list says: one node a line, HOST or HOST:PORT, IPv6 addresses in brackets if a port follows;
    `#` begins a comment. At most MAX_FILE bytes and MAX_NODES nodes of it count; never raises."""
    places: dict[BootstrapNode, None] = {}
    problems: list[str] = []
    if len(data) > MAX_FILE:
        problems.append(f"it has more than {MAX_FILE} bytes; the rest is ignored")
        data = data[:MAX_FILE].rpartition(b"\n")[0]
    for number, line in enumerate(data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if len(places) >= MAX_NODES:
            problems.append(
                f"line {number}: more than {MAX_NODES} nodes; this line and all that follow are ignored"
            )
            break
        try:
            places[BootstrapNode(*parse_host_and_port(text))] = None
        except ParseError as error:
            problems.append(f"line {number}: {printable(text, 80)}: {error}")
    return NodeList(tuple(places), tuple(problems))


def read_list(path: Path) -> bytes:
    """Return a list's bytes, one more than MAX_FILE at most; empty if there is no such file. Blocks. OSError."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return b""


InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """`given` are those of --bootstrap, `built_in` the names that the network has; `file` is the operator's list
    and `built_in_list` gives the package's. `port` is the network's."""

    port: int
    given: Sequence[tuple[str, int]] = ()
    built_in: Sequence[tuple[str, int]] = ()
    file: Path | None = None
    built_in_list: Callable[[], bytes] | None = None


class Bootstrap:
    """Asks all names and lists for nodes. `run_in_thread` reads files, `look_up` returns the addresses of a host
    and port as `base.outgoing.resolve` does."""

    def __init__(
        self,
        settings: BootstrapSettings,
        run_in_thread: InThread,
        look_up: Callable[[str, int], Awaitable[list[str]]],
    ) -> None:
        self._settings = settings
        self._run_in_thread = run_in_thread
        self._look_up = look_up
        self._lists: dict[NodeOrigin, bytes] = {}
        """What was read last, so that its faults are reported once."""
        self._failed: BoundedDict[str, None] = BoundedDict(2 * MAX_NODES)
        """Names and files whose fault was reported."""

    async def ask(self, is_ours: Callable[[str, int], bool], heard: Callable[[Found], None]) -> int:
        """Give `heard` the addresses that are named, addresses written as such first: a name may take minutes.
        Returns how many there are, at most MAX_FOUND; those that `is_ours` knows are left out. Never raises for
        what is wrong with a name or a list."""
        places = await self._places()
        found: set[tuple[str, int]] = set()
        for resolve in (False, True):
            for place, origin in places:
                if (parse_address(place.host) is None) is not resolve:
                    continue
                hosts = await self._resolve(place) if resolve else [place.host]
                for each in self._usable(hosts, place, origin):
                    key = (each.address.host, each.address.port)
                    if key not in found and not is_ours(*key) and len(found) < MAX_FOUND:
                        found.add(key)
                        heard(each)
        return len(found)

    async def _places(self) -> list[tuple[BootstrapNode, NodeOrigin]]:
        """Yield the names and addresses in the order in which they are asked: the operator's before the
        package's."""
        settings = self._settings
        places: dict[BootstrapNode, NodeOrigin] = {}
        file, built_in_list = settings.file, settings.built_in_list
        listed = [] if file is None else await self._read(NodeOrigin.FILE, str(file), lambda: read_list(file))
        more = (
            []
            if built_in_list is None
            else await self._read(NodeOrigin.BUILT_IN, "the built-in list", built_in_list)
        )
        for origin, group in (
            (NodeOrigin.BOOTSTRAP, [BootstrapNode(*each) for each in settings.given]),
            (NodeOrigin.FILE, listed),
            (NodeOrigin.BUILT_IN, [*(BootstrapNode(*each) for each in settings.built_in), *more]),
        ):
            for place in group:
                places.setdefault(BootstrapNode(place.host, place.port or settings.port), origin)
        return list(places.items())

    async def _read(self, origin: NodeOrigin, name: str, read: Callable[[], bytes]) -> Sequence[BootstrapNode]:
        try:
            data = await self._run_in_thread(read)
        except OSError as error:
            if name not in self._failed:
                self._failed[name] = None
                _log.warn("cannot read {file}: {error}", file=name, error=reason_of(error))
            return ()
        self._failed.pop(name, None)
        parsed = parse_node_list(data)
        if self._lists.get(origin) != data:
            self._lists[origin] = data
            for problem in parsed.problems[:_REPORTED_LINES]:
                _log.warn("{file}: {problem}", file=name, problem=problem)
            if len(parsed.problems) > _REPORTED_LINES:
                _log.warn(
                    "{file}: {count} more lines cannot be used",
                    file=name,
                    count=len(parsed.problems) - _REPORTED_LINES,
                )
        return parsed.places

    async def _resolve(self, place: BootstrapNode) -> list[str]:
        """Return the addresses of a name, at most MAX_OF_NAME, or the name itself for the proxy to find."""
        try:
            hosts = await self._look_up(place.host, place.port)
        except (OSError, UnicodeError, ConnectError) as error:
            if place.host not in self._failed:
                self._failed[place.host] = None
                text = getattr(error, "strerror", None) or error
                _log.warn("cannot resolve bootstrap node {host}: {error}", host=printable(place.host), error=text)
            return []
        self._failed.pop(place.host, None)
        return hosts[:MAX_OF_NAME]

    def _usable(self, hosts: Sequence[str], place: BootstrapNode, origin: NodeOrigin) -> Iterator[Found]:
        """Return the usable addresses. Only what is written as an address, or given by the operator, may be in a
        private network: a blocked name often has this machine's address, or none."""
        is_name = parse_address(place.host) is None
        written = place.host if place.port == self._settings.port else host_and_port(*place)
        by = FoundBy(origin, written if is_name else "")
        for host in hosts:
            if host == place.host and is_name:
                yield Found(PeerAddress(host, place.port), by)
                continue
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                continue
            if address.is_unspecified or address.is_multicast or getattr(address, "scope_id", None):
                continue
            if origin is NodeOrigin.BUILT_IN and is_name and not is_global(address):
                continue
            yield Found(PeerAddress(host, place.port), by)
