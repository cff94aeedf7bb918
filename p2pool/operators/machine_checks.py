"""The checks of this machine: directories, limits, ports, certificates, databases. They are pure functions of the
facts that `machine_facts` gathers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.base.endpoints import host_and_port
from p2pool.net.own_certificate import RENEWAL_DAYS
from p2pool.operators.findings import Finding, fault, ok, warning

DAY: Final = 86_400
LEAST_SPACE: Final = 100 * 1024 * 1024
"""Bytes of disk below which the share chain and a found block may not fit."""
ENOUGH_SPACE: Final = 2 * 1024 * 1024 * 1024
"""Bytes of disk for some months of history, logs and archived shares."""


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """The data directory: why it cannot be used ("" if it can), the process that holds its lock, and the free
    bytes of its disk."""

    path: Path
    problem: str
    owner: int | None
    free: int


@dataclass(frozen=True, slots=True)
class PortFacts:
    """A port that the node is to open: `problem` says why it cannot be, and `user` which process has it."""

    flag: str
    purpose: str
    host: str
    port: int
    problem: str = ""
    user: int | None = None
    user_name: str = ""
    is_own: bool = False
    """Whether `user` is the node that runs on the data directory, or one of its gateways."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate: why it cannot be used, or when it expires (Unix seconds); `is_made` if the node makes and
    renews it itself. Neither if it is made at the next start."""

    flag: str
    problem: str = ""
    not_after: int | None = None
    is_made: bool = False


def check_directory(facts: DirectoryFacts) -> Finding:
    """Judge whether the node can use its data directory."""
    subject = "data directory"
    if facts.problem:
        return fault(subject, facts.problem, "let the node's user write there, or choose another --datadir")
    if facts.owner is not None:
        return warning(
            subject,
            f"{facts.path} is in use by process {facts.owner}",
            "if that is this node: it runs, and another one would not start. If not, stop it, or choose another "
            "--datadir",
        )
    return ok(subject, f"{facts.path} can be written, and no node runs on it")


def check_space(facts: DirectoryFacts) -> Finding:
    """Judge whether the disk of the data directory has room."""
    text = f"{facts.free / 1024**3:.1f} GiB free for {facts.path}"
    advice = "free some, or move the data directory (--datadir)"
    if facts.free < LEAST_SPACE:
        return fault("disk space", text, advice)
    return ok("disk space", text) if facts.free >= ENOUGH_SPACE else warning("disk space", text, advice)


def check_open_files(limit: int | None, needed: int, connections: int) -> Finding:
    """Judge the limit of open files (None: there is none) for what the node needs with so many connections."""
    if limit is None or limit >= needed:
        return ok("open files", f"{'no limit' if limit is None else f'the limit is {limit}'}; {needed} are needed")
    return warning(
        "open files",
        f"the limit is {limit}, but {connections} miners (--max-connections) need {needed}: the node takes fewer",
        "raise the limit (ulimit -Hn, or LimitNOFILE= in the systemd unit), or lower --max-connections",
    )


def check_ports(ports: Sequence[PortFacts]) -> Iterator[Finding]:
    """Judge each port that the node is to open."""
    users: dict[int, str] = {}
    for facts in ports:
        if facts.port and facts.port in users:
            yield fault(
                facts.flag,
                f"port {facts.port} is also that of {users[facts.port]}",
                "give each its own port",
            )
        else:
            yield _check_port(facts)
        users[facts.port] = facts.flag


def _check_port(facts: PortFacts) -> Finding:
    where = f"port {host_and_port(facts.host or '*', facts.port)} for {facts.purpose}"
    if facts.is_own:
        return ok(facts.flag, f"{where} is open: the running node, process {facts.user}, has it")
    if facts.user is not None:
        return fault(
            facts.flag,
            f"{where} is in use by process {facts.user} ({facts.user_name})",
            f"stop that process, or choose another port with {facts.flag}",
        )
    if facts.problem:
        return fault(facts.flag, f"{where}: {facts.problem}", f"choose another one with {facts.flag}")
    return ok(facts.flag, f"{where} is free")


def check_certificate(facts: CertificateFacts, now: float) -> Finding:
    """Judge a certificate at `now` (Unix seconds)."""
    if facts.problem:
        return fault(facts.flag, facts.problem)
    if facts.not_after is None:
        return ok(facts.flag, "the certificate is made when the node starts")
    left = int((facts.not_after - now) // DAY)
    renew = "restart the node: it makes a new one" if facts.is_made else "renew it; the node needs no restart"
    if left < 0:
        return fault(facts.flag, f"the certificate expired {-left} days ago", renew)
    text = f"the certificate expires in {left} days"
    return warning(facts.flag, text, renew) if left < RENEWAL_DAYS else ok(facts.flag, text)


def check_x11(provider: str, problem: str) -> Finding:
    """Judge the implementation of X11, which was tested when it was loaded."""
    if problem:
        return warning(
            "X11", f"{problem}; {provider} is used instead", "build the package again where it is to run"
        )
    return ok("X11", f"{provider} passes its test")


def check_broker(address: str, problem: str) -> Finding:
    """Judge the connection with Redis at `address`."""
    return fault("--broker", f"{address}: {problem}") if problem else ok("--broker", f"{address} answers")


def check_proxy(flag: str, proxy: str, problem: str) -> Finding:
    """Judge a SOCKS5 proxy, given by `flag`."""
    if problem:
        return fault(flag, f"{proxy}: {problem}", f"start the proxy (for Tor: its SocksPort), or correct {flag}")
    return ok(flag, f"{proxy} answers")


def check_history(location: str, problem: str) -> Finding:
    """Judge the database of history at `location`. The node mines without it."""
    advice = "correct --stats-db, or start the database; until then no history is written"
    if problem:
        return warning("history", problem, advice)
    return ok("history", f"{location} can be used")
