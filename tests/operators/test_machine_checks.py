"""The checks of this machine, and the facts that they are about."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from p2pool.app.config import load_config
from p2pool.app.data_directory import DataDirectory, lock_owner
from p2pool.base.socks import Proxy
from p2pool.net.tls import KeyKind, make_self_signed
from p2pool.operators.check import check_machine
from p2pool.operators.findings import Level
from p2pool.operators.machine_checks import (
    DAY,
    CertificateFacts,
    DirectoryFacts,
    PortFacts,
    check_broker,
    check_certificate,
    check_directory,
    check_history,
    check_open_files,
    check_ports,
    check_proxy,
    check_space,
    check_x11,
)
from p2pool.operators.machine_facts import (
    certificate_facts,
    connection_problem,
    directory_facts,
    listening_process,
    open_files_limit,
    port_facts,
    proxy_problem,
    zmq_problem,
)
from tests.environment import make_environment

NOW = 1_700_000_000.0
HERE = Path("/data/dash")


def directory(problem: str = "", owner: int | None = None, free: int = 1 << 40) -> DirectoryFacts:
    return DirectoryFacts(HERE, problem, owner, free)


def test_directory():
    assert check_directory(directory()).level is Level.OK
    assert check_directory(directory("it is a file")).level is Level.FAULT
    used = check_directory(directory(owner=123))
    assert used.level is Level.WARNING
    assert "process 123" in used.text


@pytest.mark.parametrize(
    ("free", "level"), [(0, Level.FAULT), (10**8, Level.FAULT), (10**9, Level.WARNING), (10**10, Level.OK)]
)
def test_space(free, level):
    assert check_space(directory(free=free)).level is level


def test_open_files():
    assert check_open_files(None, 12_200, 10_000).level is Level.OK
    assert check_open_files(12_200, 12_200, 10_000).level is Level.OK
    few = check_open_files(1024, 12_200, 10_000)
    assert few.level is Level.WARNING
    assert "1024" in few.text
    assert "LimitNOFILE=" in few.advice


def port(number: int, flag: str = "--worker-port", **more) -> PortFacts:
    return PortFacts(flag, "miners", "", number, **more)


def test_ports():
    cases = [
        (port(7903), Level.OK, "*:7903 for miners is free"),
        (port(1, problem="Permission denied"), Level.FAULT, "Permission denied"),
        (port(2, problem="in use", user=5, user_name="nginx"), Level.FAULT, "in use by process 5 (nginx)"),
        (port(3, problem="in use", user=5, is_own=True), Level.OK, "the running node, process 5"),
    ]
    for facts, level, words in cases:
        (found,) = check_ports([facts])
        assert found.level is level
        assert words in found.text


def test_two_purposes_of_one_port():
    first, second = check_ports([port(7903), port(7903, "--p2pool-port")])
    assert first.level is Level.OK
    assert second.level is Level.FAULT
    assert "port 7903 is also that of --worker-port" in second.text
    assert {each.level for each in check_ports([port(0), port(0, "--p2pool-port")])} == {Level.OK}


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (-2.0, Level.FAULT, "expired 2 days ago"),
        (29.5, Level.WARNING, "in 29 days"),
        (31.0, Level.OK, "in 31 days"),
    ],
)
def test_certificate_expires(days, level, words):
    found = check_certificate(CertificateFacts("--web-port", not_after=int(NOW + days * DAY)), NOW)
    assert found.level is level
    assert words in found.text
    assert level is Level.OK or "renew it" in found.advice


def test_certificates_that_are_not_there():
    assert check_certificate(CertificateFacts("--web-port", is_made=True), NOW).level is Level.OK
    assert check_certificate(CertificateFacts("--web-port", problem="no key"), NOW).level is Level.FAULT
    made = CertificateFacts("--web-port", not_after=int(NOW), is_made=True)
    assert "it makes a new one" in check_certificate(made, NOW).advice


def test_x11_broker_and_history():
    assert check_x11("built-in (avx2)", "").level is Level.OK
    assert check_x11("x11_hash", "the built-in code gives a wrong hash").level is Level.WARNING
    assert check_broker("redis://h", "").level is Level.OK
    assert check_broker("redis://h", "no answer").level is Level.FAULT
    assert check_history("file", "").level is Level.OK
    assert check_history("file", "cannot be written").level is Level.WARNING


# --- facts -------------------------------------------------------------------------------------------------


def test_facts_of_a_directory(tmp_path):
    config = load_config(["--datadir", str(tmp_path / "new")], tmp_path, {})
    facts = directory_facts(config)
    assert (facts.path, facts.problem, facts.owner) == (tmp_path / "new" / "dash", "", None)
    assert facts.free > 0
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").write_text("a file")
    assert "is not a directory" in directory_facts(config).problem


def test_a_file_of_a_newer_version_is_a_problem(tmp_path):
    config = load_config([], tmp_path, {})
    config.datadir.mkdir()
    (config.datadir / "peers.json").write_text('{"version": 99}')
    assert "a newer p2pool-dash wrote it" in directory_facts(config).problem


def test_the_owner_of_a_lock(tmp_path):
    assert lock_owner(tmp_path) is None
    held = DataDirectory(tmp_path)
    assert lock_owner(tmp_path) == os.getpid()
    assert lock_owner(tmp_path) == os.getpid()
    held.release()
    assert lock_owner(tmp_path) is None


def test_ports_and_who_has_them(tmp_path):
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        number = used.getsockname()[1]
        assert listening_process(number) == os.getpid()
        config = load_config(["-w", f"127.0.0.1:{number}", "--p2pool-port", "0"], tmp_path, {})
        worker, peers = port_facts(config, None)
        assert (worker.user, worker.is_own) == (os.getpid(), False)
        assert worker.problem
        assert (peers.problem, peers.user) == ("", None)
        worker, _ = port_facts(config, os.getpid())
        assert worker.is_own
    assert listening_process(number) is None
    worker, _ = port_facts(config, None)
    assert worker.problem == ""


def test_an_address_that_this_machine_does_not_have(tmp_path):
    config = load_config(["-w", "192.0.2.1:7903", "--web-port", "nonsense.invalid:80"], tmp_path, {})
    worker, web, _ = port_facts(config, None)
    assert "Cannot assign" in worker.problem
    assert "is not an address of this machine" in web.problem


def test_limit_of_open_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert open_files_limit() == (None if hard == resource.RLIM_INFINITY else hard)


def test_certificates(tmp_path):
    made = tmp_path / "dash" / "stratum-cert.pem", tmp_path / "dash" / "stratum-key.pem"
    config = load_config(["--stratum-ssl-port", "7904", "--ssl-self-signed"], tmp_path, {})
    assert list(certificate_facts(config)) == [CertificateFacts("--stratum-ssl-port", is_made=True)]
    made[0].parent.mkdir()
    make_self_signed(*made, kind=KeyKind.ECDSA, names=["localhost"], now=NOW)
    (facts,) = certificate_facts(config)
    assert facts.not_after is not None
    assert facts.problem == ""
    other = tmp_path / "other-cert.pem", tmp_path / "other-key.pem"
    make_self_signed(*other, kind=KeyKind.ECDSA, names=["localhost"], now=NOW)
    words = ["--stratum-ssl-port", "1", "--ssl-cert", str(made[0]), "--ssl-key", str(other[1])]
    (facts,) = certificate_facts(load_config(words, tmp_path, {}))
    assert facts.problem


def test_connections():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        assert connection_problem(make_environment(), "127.0.0.1", number) == ""
        assert "does not greet" in zmq_problem(make_environment(), f"tcp://127.0.0.1:{number}", 0.05)
        assert "does not answer" in proxy_problem(make_environment(), Proxy("127.0.0.1", number), 0.05)
    assert "Connection refused" in connection_problem(make_environment(), "127.0.0.1", number)
    assert "Connection refused" in zmq_problem(make_environment(), f"tcp://127.0.0.1:{number}")
    assert "Connection refused" in proxy_problem(make_environment(), Proxy("127.0.0.1", number))


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (b"\x05\x00", ""),
        (b"\x05\x02\x01\x00", ""),
        (b"\x05\x02\x01\x01", "rejects user and password"),
        (b"HTTP/1.1 400", "not a SOCKS5 proxy"),
        (b"", "closes the connection"),
    ],
)
def test_proxies(monkeypatch, answers, why):
    ours, proxys = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: ours)
    with proxys:
        proxys.sendall(answers)
        proxys.shutdown(socket.SHUT_WR)
        problem = proxy_problem(make_environment(), Proxy("127.0.0.1", 9050, "me", "secret"))
    assert why in problem
    assert bool(problem) is bool(why)
    finding = check_proxy("--proxy", "socks5://127.0.0.1:9050", problem)
    assert "127.0.0.1:9050" in finding.text


def test_all_of_a_machine(tmp_path):
    config = load_config(["--broker", "redis://127.0.0.1:1", "-w", "0", "--p2pool-port", "0"], tmp_path, {})
    found = {each.subject: each for each in check_machine(config, NOW)}
    assert set(found) == {
        *("data directory", "disk space", "open files", "--worker-port", "--p2pool-port", "X11", "history"),
        "--broker",
    }
    assert found["--broker"].level is Level.FAULT
