"""Gathers the facts about this machine that `machine_checks` judges. All of it blocks, and changes nothing."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from p2pool.app.config import Config
from p2pool.app.data_directory import lock_owner
from p2pool.app.state_files import check_state_files
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.outgoing import connect_blocking
from p2pool.base.socks import Proxy, SocksError, SocksHandshake
from p2pool.history.database import DatabaseLocation, check_file_version, try_connection
from p2pool.history.records import HistoryProblem
from p2pool.net.tls import ServerCertificate
from p2pool.operators.machine_checks import CertificateFacts, DirectoryFacts, PortFacts

GATEWAY_PORTS: Final = ("--worker-port", "--stratum-ssl-port")
"""Those for miners: a gateway has no others."""
PORTS: Final = (*GATEWAY_PORTS, "--web-port", "--p2pool-port")
_LISTENING: Final = "0A"
"""The state of a socket in Linux's /proc/net/tcp."""


def directory_facts(config: Config) -> DirectoryFacts:
    """Return the facts about the data directory, or about the place where it will be made."""
    path = config.datadir
    place = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    problem = ""
    if not place.is_dir():
        problem = f"{place} is not a directory"
    elif not os.access(place, os.W_OK | os.X_OK):
        problem = f"{place} cannot be written by this user"
    else:
        try:
            check_state_files(path)
        except OperatorError as error:
            problem = str(error)
    return DirectoryFacts(path, problem, lock_owner(path), shutil.disk_usage(place).free)


def open_files_limit() -> int | None:
    """Return how many files a process may open after it has asked for more; None if there is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def port_facts(config: Config, owner: int | None) -> Iterator[PortFacts]:
    """Return the facts about each port that the node is to open; `owner` is the process that runs on its data
    directory."""
    browsers = "miners and browsers" if config.web_port is None else "miners"
    wanted = [
        ("--worker-port", browsers, config.worker_endpoint),
        ("--stratum-ssl-port", "miners that use TLS", config.stratum_ssl_port),
        ("--web-port", "browsers", config.web_port),
        ("--p2pool-port", "other nodes", config.p2pool_endpoint),
    ]
    shared = config.share_port
    for flag, purpose, endpoint in wanted:
        if endpoint is not None:
            host, port = endpoint
            problem = _why_not_bound(host, port, shared=shared and flag in GATEWAY_PORTS)
            user = listening_process(port) if problem else None
            own = owner is not None and user is not None and owner in (user, _parent(user))
            yield PortFacts(flag, purpose, host, port, problem, user, _process_name(user), is_own=own)


def _why_not_bound(host: str, port: int, *, shared: bool) -> str:
    """Return why a port cannot be listened on, "" if it can: it is bound, and released. One that is `shared` may
    be that of other processes that share it."""
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return f"{host} is not an address of this machine"
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                return reason_of(error)
    return ""


def listening_process(port: int, processes: Path = Path("/proc")) -> int | None:
    """Return the process that listens on a TCP port, as far as this user may know; None if unknown. (Linux.)"""
    sockets = set(_listening_sockets(port, processes))
    for directory in processes.iterdir() if sockets else ():
        if directory.name.isdigit():
            with suppress(OSError):
                for link in (directory / "fd").iterdir():
                    if os.readlink(link) in sockets:
                        return int(directory.name)
    return None


def _listening_sockets(port: int, processes: Path) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            lines = (processes / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _process_name(process: int | None) -> str:
    try:
        return (Path("/proc") / str(process) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "unknown"


def _parent(process: int) -> int | None:
    try:
        status = (Path("/proc") / str(process) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])


def certificate_facts(config: Config) -> Iterator[CertificateFacts]:
    """Return the facts about the certificates of the ports with TLS."""
    if config.stratum_ssl_port is not None:
        given, own = (config.ssl_cert, config.ssl_key), config.own_stratum_certificate
        yield _certificate("--stratum-ssl-port", given, own=own, is_made=config.ssl_self_signed)
    if config.web_port is not None and config.serves_https:
        given, own = (config.web_ssl_cert, config.web_ssl_key), config.own_web_certificate
        yield _certificate("--web-port", given, own=own, is_made=config.web_ssl_self_signed)


def _certificate(
    flag: str, given: tuple[Path | None, Path | None], *, own: tuple[Path, Path], is_made: bool
) -> CertificateFacts:
    certificate, key = given[0] or own[0], given[1] or own[1]
    if is_made and not certificate.exists() and not key.exists():
        return CertificateFacts(flag, is_made=True)
    try:
        loaded = ServerCertificate(certificate, key)
    except OperatorError as error:
        return CertificateFacts(flag, problem=str(error))
    return CertificateFacts(flag, not_after=loaded.not_after, is_made=is_made)


def history_problem(location: DatabaseLocation) -> str:
    """Return why the database of history cannot be used; "" if it can."""
    try:
        if location.path is None:
            try_connection(location)
            return ""
        check_file_version(location)
    except HistoryProblem as error:
        return str(error)
    place = location.path if location.path.exists() else location.path.parent
    if place.exists() and not os.access(place, os.W_OK):
        return f"{place} cannot be written by this user"
    return ""


def broker_problem(config: Config) -> str:
    """Return why Redis cannot be used; "" if it answers."""
    # Imported late: only nodes with gateways have the packages.
    try:
        from p2pool.broker.connection import ANSWER_TIME, check_files, connect
        from p2pool.broker.problems import describe
    except ImportError as error:
        return f"the package {error.name} is missing: install it with pip install redis msgspec"
    if config.broker is None:
        return ""
    try:
        check_files(config.broker)
        with connect(config.broker, ANSWER_TIME) as client:
            client.ping()
    except OperatorError as error:
        return str(error)
    except Exception as error:
        return describe(error, ANSWER_TIME)
    return ""


def connection_problem(environment: Environment, host: str, port: int, *, patience: float = 5.0) -> str:
    """Return why no TCP connection can be made; "" if it can."""
    try:
        connect_blocking(environment, host, port, timeout=patience).close()
    except OSError as error:
        return f"{host_and_port(host, port)}: {reason_of(error)}"
    return ""


def proxy_problem(environment: Environment, proxy: Proxy, patience: float = 5.0) -> str:
    """Return why a SOCKS5 proxy cannot be used; "" if it answers and takes the login."""
    try:
        with socket.create_connection((proxy.host, proxy.port), patience) as connection:
            handshake = SocksHandshake(proxy, "localhost", 0, chance=environment.chance)
            sent = handshake.begin()
            while not handshake.is_let_in:
                connection.sendall(sent)
                data = connection.recv(1)
                if not data:
                    return "what listens there closes the connection: it is not a SOCKS5 proxy"
                sent = handshake.receive(data)
    except SocksError as error:
        return error.text
    except TimeoutError:
        return "it does not answer as a SOCKS5 proxy does"
    except OSError as error:
        return reason_of(error)
    return ""


def zmq_problem(environment: Environment, address: str, patience: float = 5.0) -> str:
    """Return why `tcp://HOST:PORT` is not a ZMQ publisher; "" if it greets as one (ZMTP 3, signature)."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with connect_blocking(environment, host.strip("[]"), int(port), timeout=patience) as connection:
            connection.settimeout(patience)
            connection.sendall(b"\xff" + bytes(8) + b"\x7f")
            greeting = connection.recv(1)
    except TimeoutError:
        return "what listens there does not greet as ZMQ does"
    except OSError as error:
        return reason_of(error)
    return "" if greeting == b"\xff" else "what listens there does not greet as ZMQ does"
