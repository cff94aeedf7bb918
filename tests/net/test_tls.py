"""Certificates of the ports that listen: handshakes in memory, renewal while running, files that are no good."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface.verify import verifyObject

from p2pool.base.errors import OperatorError
from p2pool.net import tls
from p2pool.net.tls import ServerCertificate, make_self_signed
from tests.logged import logged

NOW = 1_790_000_000.0
START = datetime.fromtimestamp(NOW, UTC)
DAY = 86400
LEGACY = (1 << 0) | (1 << 19)
"""OpenSSL's NO_EXTENDED_MASTER_SECRET and NO_ENCRYPT_THEN_MAC: a client as old as OpenSSL 1.0.2 knows neither."""


@dataclass
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def fingerprint(self) -> str:
        return ":".join(f"{byte:02X}" for byte in self.certificate.fingerprint(hashes.SHA256()))


def made(name: str, issuer: Made | None = None, key=None, days: int = 30) -> Made:
    """A certificate for the DNS name `name`, signed by the issuer or by itself; the issuers are CAs."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_ca = issuer is None
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Made(certificate, key)


CA = made("ca.example")
FIRST = made("pool.example", CA)
SECOND = made("pool.example", CA, days=60)
RSA = made("pool.example", CA, rsa.generate_private_key(65537, 2048))


class Files:
    """The two files of a server."""

    def __init__(self, directory: Path, first: Made = FIRST) -> None:
        self.certificate, self.key = directory / "server.pem", directory / "server.key"
        self.put(first)

    def put(self, pair: Made) -> None:
        self.put_certificate(pair.pem)
        self.put_key(pair.key_pem)

    def put_certificate(self, data: bytes) -> None:
        _replace(self.certificate, data)

    def put_key(self, data: bytes) -> None:
        _replace(self.key, data)

    def load(self) -> ServerCertificate:
        return ServerCertificate(self.certificate, self.key)

    def refused(self) -> str:
        """The operator's error that loading them raises."""
        with pytest.raises(OperatorError) as refused:
            self.load()
        text = str(refused.value)
        assert "\n" not in text
        return text


def _replace(path: Path, data: bytes) -> None:
    """As certbot and others do: a new file under the old name."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def client(version: int | None = None, ciphers: bytes | None = None, options: int = 0) -> SSL.Connection:
    """A client's side that speaks one version, or what it likes."""
    context = SSL.Context(SSL.TLS_METHOD)
    if version is not None:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    if ciphers is not None:
        context.set_cipher_list(ciphers)
    context.set_options(options)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def carry(one: SSL.Connection, other: SSL.Connection) -> bool:
    """Whether there were bytes to carry, either way."""
    moved = False
    for source, target in ((one, other), (other, one)):
        try:
            target.bio_write(source.bio_read(1 << 16))
            moved = True
        except SSL.WantReadError:
            pass
    return moved


def shake_hands(one: SSL.Connection, other: SSL.Connection) -> None:
    """Until both are done. Raises SSL.Error."""
    done = set()
    for _ in range(20):
        for side in (one, other):
            try:
                side.do_handshake()
                done.add(side)
            except SSL.WantReadError:
                pass
        if not carry(one, other) and len(done) == 2:
            return
    pytest.fail("the handshake came to no end")


def exchange(one: SSL.Connection, other: SSL.Connection) -> None:
    """Both send and both receive."""
    for source, target in ((one, other), (other, one)):
        source.send(b'{"id":1}\n')
        carry(one, other)
        assert target.recv(100) == b'{"id":1}\n'


def connected(certificate: ServerCertificate, **options) -> tuple[SSL.Connection, SSL.Connection]:
    """(client, server) after the handshake."""
    one, other = client(**options), certificate.serverConnectionForTLS(None)
    shake_hands(one, other)
    return one, other


def shown(certificate: ServerCertificate) -> x509.Certificate:
    """The certificate that a new connection is shown."""
    return connected(certificate)[0].get_peer_certificate(as_cryptography=True)


class Browser:
    """The standard library's client, which verifies certificates and resumes sessions by itself."""

    def __init__(self, trusted: bytes) -> None:
        self.context = ssl.create_default_context(cadata=trusted.decode())

    def connect(self, server: SSL.Connection, name: str, session=None) -> ssl.SSLObject:
        """The connection after handshake and one exchange of data. Raises ssl.SSLError."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = self.context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)
        for _ in range(20):
            done = [_attempt(side.do_handshake, ssl.SSLWantReadError)]
            if outgoing.pending:
                server.bio_write(outgoing.read())
            done.append(_attempt(server.do_handshake, SSL.WantReadError))
            _attempt(lambda: incoming.write(server.bio_read(1 << 16)), SSL.WantReadError)
            if all(done):
                break
        server.send(b"hello")
        incoming.write(server.bio_read(1 << 16))
        assert side.read(100) == b"hello"
        return side


def _attempt(action, not_yet: type[Exception]) -> bool:
    try:
        action()
    except not_yet:
        return False
    return True


# Handshakes


@pytest.mark.parametrize(("version", "name"), [(SSL.TLS1_2_VERSION, "TLSv1.2"), (SSL.TLS1_3_VERSION, "TLSv1.3")])
def test_tls_1_2_and_1_3_are_spoken(files, version, name):
    one, other = connected(files.load(), version=version)
    assert other.get_protocol_version_name() == name
    exchange(one, other)


def test_tls_1_1_is_refused(files, monkeypatch):
    options = {"version": SSL.TLS1_1_VERSION, "ciphers": b"ALL:@SECLEVEL=0"}
    lenient = SSL.Context(SSL.TLS_METHOD)
    lenient.set_min_proto_version(SSL.TLS1_VERSION)
    lenient.set_cipher_list(b"ALL:@SECLEVEL=0")
    lenient.use_certificate(FIRST.certificate)
    lenient.use_privatekey(FIRST.key)
    server = SSL.Connection(lenient, None)
    server.set_accept_state()
    try:
        shake_hands(client(**options), server)
    except SSL.Error:
        pytest.skip("this OpenSSL has no TLS 1.1 at all")
    # OpenSSL's usual security level refuses it as well: here the version alone has to.
    monkeypatch.setattr(tls, "_CIPHERS", b"ALL:@SECLEVEL=0")
    with pytest.raises(SSL.Error, match="unsupported protocol"):
        connected(files.load(), **options)


@pytest.mark.parametrize(
    ("pair", "cipher"),
    [
        (FIRST, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (FIRST, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (FIRST, "ECDHE-ECDSA-AES128-SHA"),
        (RSA, "ECDHE-RSA-AES128-GCM-SHA256"),
        (RSA, "ECDHE-RSA-AES256-SHA384"),
        (RSA, "ECDHE-RSA-AES128-SHA256"),
        (RSA, "ECDHE-RSA-AES256-SHA"),
    ],
)
def test_old_firmware_connects(tmp_path, pair, cipher):
    certificate = Files(tmp_path, pair).load()
    one, other = connected(certificate, version=SSL.TLS1_2_VERSION, ciphers=cipher.encode(), options=LEGACY)
    assert other.get_cipher_name() == cipher
    exchange(one, other)


@pytest.mark.parametrize("cipher", [b"AES128-GCM-SHA256", b"DHE-RSA-AES128-GCM-SHA256", b"AES256-SHA"])
def test_ciphers_without_ephemeral_curves_are_not_spoken(tmp_path, cipher):
    with pytest.raises(SSL.Error, match="no shared cipher"):
        connected(Files(tmp_path, RSA).load(), version=SSL.TLS1_2_VERSION, ciphers=cipher)


def test_the_best_common_cipher_is_the_servers_choice(files):
    worst_first = b"ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-GCM-SHA256"
    _, other = connected(files.load(), version=SSL.TLS1_2_VERSION, ciphers=worst_first)
    assert other.get_cipher_name() == "ECDHE-ECDSA-AES128-GCM-SHA256"


def renegotiation_errors(server: SSL.Connection) -> list[SSL.Error]:
    one = client(SSL.TLS1_2_VERSION)
    shake_hands(one, server)
    one.renegotiate()
    errors = []
    for _ in range(6):
        for side in (one, server):
            try:
                side.do_handshake()
                side.recv(100)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                errors.append(error)
        carry(one, server)
    return errors


def test_nothing_is_negotiated_twice(files):
    allowing = SSL.Context(SSL.TLS_METHOD)
    allowing.set_options(1 << 8)  # OpenSSL's ALLOW_CLIENT_RENEGOTIATION
    allowing.use_certificate(FIRST.certificate)
    allowing.use_privatekey(FIRST.key)
    server = SSL.Connection(allowing, None)
    server.set_accept_state()
    assert renegotiation_errors(server) == []
    ours = files.load().serverConnectionForTLS(None)
    assert "no renegotiation" in str(renegotiation_errors(ours)[0])
    # OpenSSL 3 refuses by itself what an older one has to be told to refuse.
    assert ours.set_options(0) & (1 << 30)


def test_idle_connections_give_their_buffers_back_and_no_session_is_kept(files):
    context = files.load().serverConnectionForTLS(None).get_context()
    # pyOpenSSL tells the mode of a context only where it also changes it, which it refuses for one in use.
    assert SSL._lib.SSL_CTX_set_mode(context._context, 0) & SSL.MODE_RELEASE_BUFFERS
    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_comes_back_resumes_its_session(tmp_path, version):
    files = Files(tmp_path)
    make_self_signed(
        tmp_path / "own.pem", tmp_path / "own.key", names=["pool.example"], now=datetime.now(UTC).timestamp()
    )
    files.put_certificate((tmp_path / "own.pem").read_bytes())
    files.put_key((tmp_path / "own.key").read_bytes())
    certificate = files.load()
    browser = Browser(files.certificate.read_bytes())
    browser.context.minimum_version = browser.context.maximum_version = version
    first = browser.connect(certificate.serverConnectionForTLS(None), "pool.example")
    assert not first.session_reused
    assert first.session.ticket_lifetime_hint == tls.SESSION_TIME
    again = browser.connect(certificate.serverConnectionForTLS(None), "pool.example", first.session)
    assert again.session_reused
    os.utime(files.key, ns=(1, 1))
    assert certificate.reload_if_changed()
    # Another context seals its tickets with another key: no error, a whole handshake.
    after = browser.connect(certificate.serverConnectionForTLS(None), "pool.example", again.session)
    assert not after.session_reused


def test_the_chain_is_sent(files):
    middle = made("middle.example", None)
    leaf = made("pool.example", middle)
    files.put_certificate(leaf.pem + middle.pem + CA.pem)
    files.put_key(leaf.key_pem)
    one, _ = connected(files.load())
    chain = one.get_peer_cert_chain(as_cryptography=True)
    assert chain == [leaf.certificate, middle.certificate, CA.certificate]


def test_certificate_and_key_may_stand_in_one_file(tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(FIRST.key_pem + FIRST.pem)
    assert shown(ServerCertificate(both, both)) == FIRST.certificate


def test_fingerprint_and_end_of_validity(files):
    with logged() as log:
        certificate = files.load()
    assert certificate.fingerprint == FIRST.fingerprint
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", certificate.fingerprint)
    assert certificate.not_after == NOW + 30 * DAY
    (line,) = log.lines
    assert FIRST.fingerprint in line
    assert f"{START + timedelta(days=30):%Y-%m-%d %H:%M:%S} UTC" in line


class Echo(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


def test_twisted_takes_it_for_what_it_is(files):
    certificate = files.load()
    assert verifyObject(IOpenSSLServerConnectionCreator, certificate)
    clock = Clock()
    server = TLSMemoryBIOFactory(certificate, False, Factory.forProtocol(Echo), clock).buildProtocol(None)
    transport = StringTransport()
    server.makeConnection(transport)
    one = client()
    received = b""
    one.set_connect_state()
    sent = False
    for _ in range(10):
        if not sent and _attempt(one.do_handshake, SSL.WantReadError):
            one.send(b"hello")
            sent = True
        _attempt(lambda: server.dataReceived(one.bio_read(1 << 16)), SSL.WantReadError)
        clock.advance(1)
        if transport.value():
            one.bio_write(transport.value())
            transport.clear()
        if sent:
            try:
                received += one.recv(100)
            except SSL.WantReadError:
                pass
    assert received == b"hello"


# Renewal


def test_nothing_is_loaded_while_nothing_changes(files):
    certificate = files.load()
    context = certificate.serverConnectionForTLS(None).get_context()
    with logged() as log:
        assert not certificate.reload_if_changed()
    assert certificate.serverConnectionForTLS(None).get_context() is context
    assert log.lines == []


def test_new_connections_get_the_new_certificate_and_old_ones_go_on(files):
    certificate = files.load()
    old = connected(certificate)
    waiting = client(), certificate.serverConnectionForTLS(None)
    files.put(SECOND)
    assert shown(certificate) == FIRST.certificate
    with logged() as log:
        assert certificate.reload_if_changed()
        assert not certificate.reload_if_changed()
    assert shown(certificate) == SECOND.certificate
    assert certificate.fingerprint == SECOND.fingerprint
    assert certificate.not_after == NOW + 60 * DAY
    (line,) = log.lines
    assert SECOND.fingerprint in line
    exchange(*old)
    shake_hands(*waiting)
    assert waiting[0].get_peer_certificate(as_cryptography=True) == FIRST.certificate


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_change_of_either_file_is_seen_by_time_size_or_inode(files, which):
    certificate, path = files.load(), getattr(files, which)
    before, data = path.stat(), path.read_bytes()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert certificate.reload_if_changed()
    path.write_bytes(data + b"\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert certificate.reload_if_changed()
    other = path.with_suffix(".other")
    other.write_bytes(data + b"\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    other.replace(path)
    assert certificate.reload_if_changed()
    assert not certificate.reload_if_changed()


def test_files_that_are_replaced_one_after_the_other_are_no_warning(files):
    certificate = files.load()
    with logged() as log:
        files.put_certificate(SECOND.pem)
        assert not certificate.reload_if_changed()
        assert shown(certificate) == FIRST.certificate
        files.put_key(SECOND.key_pem)
        assert certificate.reload_if_changed()
    assert shown(certificate) == SECOND.certificate
    assert len(log.lines) == 1
    assert SECOND.fingerprint in log.lines[0]


def test_a_pair_that_stays_bad_is_reported_once_and_the_old_one_serves(files):
    certificate = files.load()
    files.put_key(SECOND.key_pem)
    with logged() as log:
        for look in range(5):
            assert not certificate.reload_if_changed()
            assert len(log.lines) == (look > 0)
        exchange(*connected(certificate))
        assert shown(certificate) == FIRST.certificate
        assert FIRST.fingerprint in log.lines[0]
        assert str(files.key) in log.lines[0]
        # Another change that is no better is told once more.
        files.put_certificate(b"no certificate")
        for _ in range(3):
            assert not certificate.reload_if_changed()
        assert len(log.lines) == 2
        assert [event["log_level"].name for event in log] == ["warn", "warn"]
        assert {event["log_namespace"] for event in log} == {"p2pool.tls"}
        files.put(SECOND)
        assert certificate.reload_if_changed()
        assert [event["log_level"].name for event in log] == ["warn", "warn", "info"]
        # After a good pair, the next bad one has two looks again.
        files.put_key(FIRST.key_pem)
        assert not certificate.reload_if_changed()
        assert len(log.lines) == 3
        assert not certificate.reload_if_changed()
        assert len(log.lines) == 4


def test_a_file_that_is_away_for_a_while(files):
    certificate = files.load()
    away = files.key.with_suffix(".away")
    files.key.rename(away)
    with logged() as log:
        assert not certificate.reload_if_changed()
        assert not certificate.reload_if_changed()
        assert len(log.lines) == 1
        away.rename(files.key)
        assert certificate.reload_if_changed()
    assert shown(certificate) == FIRST.certificate


def test_the_same_bad_contents_are_not_checked_again(files, monkeypatch):
    certificate = files.load()
    checked = []
    real = tls.load_pem_private_key
    monkeypatch.setattr(tls, "load_pem_private_key", lambda *a, **k: (checked.append(1), real(*a, **k))[1])
    files.put_key(SECOND.key_pem)
    for _ in range(4):
        assert not certificate.reload_if_changed()
    assert len(checked) == 1
    files.put_certificate(SECOND.pem)
    assert certificate.reload_if_changed()
    assert len(checked) == 2


def test_a_file_that_could_not_be_read_is_tried_again_though_it_looks_the_same(files, monkeypatch):
    certificate = files.load()
    real = os.open

    def too_many(*args, **named):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    files.put(SECOND)
    monkeypatch.setattr(os, "open", too_many)
    assert not certificate.reload_if_changed()
    monkeypatch.setattr(os, "open", real)
    assert certificate.reload_if_changed()
    assert certificate.fingerprint == SECOND.fingerprint


# Files that are no good


def encrypted(encoding: PrivateFormat) -> bytes:
    return FIRST.key.private_bytes(Encoding.PEM, encoding, BestAvailableEncryption(b"secret"))


def raw(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_missing_file(files, which):
    path = getattr(files, which)
    path.unlink()
    text = files.refused()
    assert str(path) in text
    assert os.strerror(errno.ENOENT) in text
    assert "give the path" in text


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_that_the_nodes_user_cannot_read(files, which, monkeypatch):
    path, real = getattr(files, which), os.open

    def refuse(name, *args, **named):
        if Path(name) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(name, *args, **named)

    # Tests may run as root, who can read everything.
    monkeypatch.setattr(os, "open", refuse)
    text = files.refused()
    assert str(path) in text
    assert os.strerror(errno.EACCES) in text


@pytest.mark.parametrize("which", ["certificate", "key"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_no_file_is_named_and_not_waited_for(files, which, make):
    path = getattr(files, which)
    path.unlink()
    make(path)
    text = files.refused()
    assert str(path) in text
    assert "is not a file" in text or os.strerror(errno.EISDIR) in text


def test_a_socket_and_a_name_that_cannot_be_one(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.key.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(files.key.name)
        assert str(files.key) in files.refused()
    with pytest.raises(OperatorError, match="certificate"):
        ServerCertificate(Path("a\0b"), files.key)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_without_end_is_not_read_to_its_end(files, which, monkeypatch):
    monkeypatch.setattr(tls, "MAX_FILE", 5000)
    path, data = getattr(files, which), getattr(files, which).read_bytes()
    path.write_bytes(data.ljust(5000, b"\n"))
    assert files.load().fingerprint == FIRST.fingerprint
    path.write_bytes(data.ljust(5001, b"\n"))
    assert f"{path} has more than 5000 bytes" in files.refused()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        FIRST.certificate.public_bytes(Encoding.DER),
        FIRST.pem[:-40],
        FIRST.key_pem,
        FIRST.pem.replace(b"\nMII", b"\nMIJ", 1),
    ],
    ids=["empty", "text", "DER", "cut", "key", "damaged"],
)
def test_a_certificate_file_that_holds_none(files, data):
    files.put_certificate(data)
    text = files.refused()
    assert f"{files.certificate} has no usable certificate" in text
    assert "give a file" in text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        FIRST.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        FIRST.key_pem[:-40],
        FIRST.pem,
    ],
    ids=["empty", "text", "DER", "cut", "certificate"],
)
def test_a_key_file_that_holds_none(files, data):
    files.put_key(data)
    text = files.refused()
    assert f"{files.key} has no usable private key" in text
    assert "give a file" in text


@pytest.mark.parametrize("encoding", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_and_nobody_is_asked(files, encoding, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *a: pytest.fail("asked"))
    monkeypatch.setattr("getpass.getpass", lambda *a: pytest.fail("asked"))
    files.put_key(encrypted(encoding))
    text = files.refused()
    assert f"the private key in {files.key} is encrypted" in text
    assert f"openssl pkey -in {files.key}" in text


@pytest.mark.parametrize("pair", [SECOND, RSA], ids=["same kind", "other kind"])
def test_a_key_that_does_not_belong_to_the_certificate(files, pair):
    files.put_key(pair.key_pem)
    text = files.refused()
    assert str(files.key) in text
    assert str(files.certificate) in text
    assert "does not belong" in text


def test_a_chain_in_the_wrong_order(files):
    files.put_certificate(CA.pem + FIRST.pem)
    assert "first certificate" in files.refused()


def test_a_key_that_cannot_sign(files):
    files.put_key(raw(x25519.X25519PrivateKey.generate()))
    assert f"the private key in {files.key} is of a kind" in files.refused()


def test_a_key_that_openssl_finds_weak(files):
    weak = made("pool.example", CA, rsa.generate_private_key(65537, 1024))
    files.put(weak)
    text = files.refused()
    assert "ee key too small" in text
    assert str(files.certificate) in text
    assert str(files.key) in text


# A certificate of one's own


def self_signed(directory: Path, *names: str, now: float = NOW) -> Files:
    files = Files.__new__(Files)
    files.certificate, files.key = directory / "tls" / "own.pem", directory / "tls" / "own.key"
    make_self_signed(files.certificate, files.key, names=names, now=now)
    return files


def test_a_certificate_of_ones_own_is_what_it_should_be(tmp_path):
    files = self_signed(tmp_path, "pool.example", "192.0.2.7", "*.example.org", "2001:db8::7", "pool.example")
    certificate = files.load()
    one = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert certificate.not_after == NOW + 3650 * DAY
    assert one.not_valid_before_utc == START - timedelta(days=1)
    names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pool.example", "*.example.org"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    assert isinstance(one.public_key(), ec.EllipticCurvePublicKey)
    assert one.public_key().curve.name == "secp256r1"
    one.verify_directly_issued_by(one)
    assert shown(certificate) == one


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "my_node"])
def test_a_client_that_trusts_it_verifies_its_names(tmp_path, name):
    # The standard library's client reads the clock itself.
    files = self_signed(tmp_path, name, now=datetime.now(UTC).timestamp())
    certificate, browser = files.load(), Browser(files.certificate.read_bytes())
    browser.connect(certificate.serverConnectionForTLS(None), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        browser.connect(certificate.serverConnectionForTLS(None), "elsewhere.example")


def test_its_key_is_the_owners_only_from_the_first_moment(tmp_path, monkeypatch):
    modes = []
    real_write, real_replace = os.fsync, os.replace
    directory = tmp_path / "tls"
    directory.mkdir()
    # What a crash left there, readable by everybody.
    (directory / "own.key.new").write_bytes(b"old")
    (directory / "own.key.new").chmod(0o666)

    def look(*args):
        modes.extend(stat.S_IMODE(p.stat().st_mode) for p in directory.glob("own.key*"))

    monkeypatch.setattr(os, "fsync", lambda descriptor: (look(), real_write(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (look(), real_replace(*paths), look()))
    before = os.umask(0)
    try:
        files = self_signed(tmp_path, "localhost")
    finally:
        os.umask(before)
    assert set(modes) == {0o600}
    assert len(modes) >= 4
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert sorted(p.name for p in directory.iterdir()) == ["own.key", "own.pem"]


@pytest.mark.parametrize("name", ["own.pem", "own.key"])
@pytest.mark.parametrize("dangling", [False, True])
def test_what_exists_is_not_replaced(tmp_path, name, dangling):
    directory = tmp_path / "tls"
    directory.mkdir()
    path = directory / name
    if dangling:
        path.symlink_to(directory / "nowhere")
    else:
        path.write_bytes(b"the operator's")
    with pytest.raises(OperatorError, match=re.escape(str(path))):
        self_signed(tmp_path, "localhost")
    assert [p.name for p in directory.iterdir()] == [name]
    assert dangling or path.read_bytes() == b"the operator's"


@pytest.mark.parametrize(
    "name",
    ["", "two words", "müller.example", "-a.example", "a..b", "[::1]", "a" * 64, "a." * 127 + "com", "*", "a:1"],
)
def test_names_that_cannot_stand_in_a_certificate(tmp_path, name):
    with pytest.raises(OperatorError, match="give a DNS name"):
        self_signed(tmp_path, "localhost", name)
    assert not (tmp_path / "tls").exists()


def test_no_name_and_one_file_for_both(tmp_path):
    with pytest.raises(OperatorError, match="no name"):
        self_signed(tmp_path)
    path = tmp_path / "both.pem"
    with pytest.raises(OperatorError, match="a file for each"):
        make_self_signed(path, path, names=["localhost"], now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    real, refused = os.replace, []

    def full(source, target):
        if Path(target).name in refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    for name in ("own.key", "own.pem"):
        refused[:] = [name]
        with pytest.raises(OperatorError, match=os.strerror(errno.ENOSPC)) as raised:
            self_signed(tmp_path, "localhost")
        assert str(tmp_path / "tls" / "own.key") in str(raised.value)
        assert not (tmp_path / "tls" / "own.key").exists()
        assert not (tmp_path / "tls" / "own.key.new").exists()
        assert not (tmp_path / "tls" / "own.pem").exists()
