"""The TLS certificates of the ports that listen: loading, replacing while the node runs, making one.

`app` loads a `ServerCertificate` for each pair of files, gives it to the TLS layer of a port (Twisted's
TLSMemoryBIOFactory), and calls `reload_if_changed` every few seconds, so that a renewed certificate is in use
without a restart. Reads files on the calling thread: two, of some kilobytes. Checking an RSA key takes some 50 ms
of 2048 bits and some 400 ms of 4096, and happens only when the files have changed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from p2pool.base.errors import OperatorError
from p2pool.base.files import write_file

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

MAX_FILE: Final = 1 << 20
"""Bytes of a certificate or key file: a long chain has some ten thousand."""
SESSION_TIME: Final = 24 * 3600
"""Seconds for which a client may resume its session: miners stay connected for days, and come back all at once
when a line was down. 24 hours is what RFC 5246 (F.1.4) calls an upper limit."""
SELF_SIGNED_DAYS: Final = 3650
"""Nobody renews a certificate that miners were told to accept by its fingerprint."""
RSA_BITS: Final = 2048
"""More would cost each handshake five times as much CPU time; making the key takes a part of a second, once."""
SUBJECT: Final = "p2pool"
LOOKS_BEFORE_WARNING: Final = 2
"""Certificate and key are often replaced one after the other: what does not load at one look may at the next."""

_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"
    b"ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    b"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
"""TLS 1.2's, with forward secrecy, the best first. The CBC ones are for miners whose firmware has no better."""
_NO_RENEGOTIATION: Final = 1 << 30
"""OpenSSL's SSL_OP_NO_RENEGOTIATION, which pyOpenSSL does not name."""
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
"""Underscores are no part of a host's name by RFC 1123, and stand in those of containers."""
_MAX_DNS_NAME: Final = 253

_SIGNATURES_ONLY: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
"""What a key does with ECDHE."""

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_FileState = tuple[int, int, int] | None
"""(modified in nanoseconds, bytes, inode); None where the file cannot be looked at."""
_log = Logger(namespace="p2pool.tls")


_Checked = tuple[list[x509.Certificate], _PrivateKey]
"""A chain, the server's own certificate first, and its key."""


class KeyKind(Enum):
    """Kinds of keys of self-signed certificates."""

    ECDSA = "P-256"
    RSA = "RSA"


class UnusableCertificate(OperatorError):
    """What certificate and key hold is damaged, or does not belong together: `problem` says how."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}: {advice}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Files that were good together. `fingerprints` are those of each certificate; `not_after` is the first end of
    their validity."""

    context: SSL.Context
    fingerprints: tuple[str, ...]
    not_after: int


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """A certificate with its issuers' and its key, as they stand in two files now or when they last were good; and
    perhaps another one, with a key of another kind, for clients that know that kind only."""

    def __init__(self, certificate: Path, key: Path, beside: tuple[Path, Path] | None = None) -> None:
        """PEM files; the certificate's own first, those of its issuers after it. Raises OperatorError."""
        self._files = [(certificate, key), *([beside] if beside is not None else [])]
        self._state = self._look()
        self._failed_looks = 0
        self._warned_of: tuple[_FileState, ...] | None = None
        self._refused: tuple[list[tuple[bytes, bytes]], str] | None = None
        self._loaded = self._load()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate: pairs of hexadecimal digits and colons, as openssl prints it."""
        return self._loaded.fingerprints[0]

    @property
    def other_fingerprint(self) -> str | None:
        """That of the certificate with a key of another kind, where there is one."""
        return self._loaded.fingerprints[1] if len(self._loaded.fingerprints) > 1 else None

    @property
    def not_after(self) -> int:
        """The last second in which the certificate is valid, in Unix time."""
        return self._loaded.not_after

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Twisted's: the OpenSSL side of a new connection. It keeps today's certificate for all its life."""
        connection = SSL.Connection(self._loaded.context, None)
        connection.set_accept_state()
        return connection

    def reload_if_changed(self) -> bool:
        """Whether the files have changed and new connections get a new certificate from now on.

        A pair that does not load leaves the last good one in use and is tried again at every look.
        """
        state = self._look()
        if state == self._state and not self._failed_looks:
            return False
        # What changes between this look and the reading is seen at the next one.
        self._state = state
        try:
            self._loaded = self._load()
        except OperatorError as error:
            self._failed_looks += 1
            if self._failed_looks >= LOOKS_BEFORE_WARNING and state != self._warned_of:
                self._warned_of = state
                _log.warn("the certificate {used} stays in use: {error}", used=self.fingerprint, error=str(error))
            return False
        self._failed_looks = 0
        self._warned_of = None
        return True

    def _look(self) -> tuple[_FileState, ...]:
        return tuple(_state_of(path) for pair in self._files for path in pair)

    def _load(self) -> _Loaded:
        """Raises OperatorError."""
        contents = [(_read(pair[0], "certificate"), _read(pair[1], "private key")) for pair in self._files]
        if self._refused is not None and self._refused[0] == contents:
            # Checking the same RSA key every few seconds would hold up the miners each time.
            raise OperatorError(self._refused[1])
        try:
            checked = {
                pair[0]: _pair(*pair, *content) for pair, content in zip(self._files, contents, strict=True)
            }
            context = _context_of(checked, self._files[0][1])
        except OperatorError as error:
            self._refused = contents, str(error)
            raise
        self._refused = None
        fingerprints, ends = [], []
        for path, (chain, _) in checked.items():
            fingerprints.append(chain[0].fingerprint(hashes.SHA256()).hex(":").upper())
            ends.append(int(chain[0].not_valid_after_utc.timestamp()))
            _log.info(
                "TLS certificate {file}: SHA-256 fingerprint {fingerprint}, valid until {until}",
                file=str(path),
                fingerprint=fingerprints[-1],
                until=f"{datetime.fromtimestamp(ends[-1], UTC):%Y-%m-%d %H:%M:%S} UTC",
            )
        return _Loaded(context, tuple(fingerprints), min(ends))


def make_self_signed(
    certificate: Path, key: Path, names: Sequence[str], now: float, kind: KeyKind = KeyKind.ECDSA
) -> None:
    """Write a new key and a certificate that it signs itself, for DNS names and IP addresses.

    `now` is Unix time in seconds; valid from a day before it, for clocks that are slow, to ten years after it.
    The key file is its owner's only from its first moment. Both are on the disk at return. Raises OperatorError,
    also where either file exists: what the operator put there is never replaced. Blocks.
    """
    if certificate == key:
        raise OperatorError(f"{certificate} cannot be both certificate and key: give a file for each")
    for path in (certificate, key):
        if os.path.lexists(path):
            raise OperatorError(f"{path} exists and is not replaced: move it away to have a new one made")
    alternatives = [_general_name(name) for name in dict.fromkeys(names)]
    if not alternatives:
        raise OperatorError(f"no name for the certificate {certificate}: give the host's DNS name or address")
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind is KeyKind.ECDSA:
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = rsa.generate_private_key(65537, RSA_BITS)
    made = _sign(private, alternatives, datetime.fromtimestamp(int(now), UTC))
    # The key first: a certificate alone would look as if its key had been lost.
    try:
        write_file(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
        try:
            write_file(certificate, made.public_bytes(Encoding.PEM))
        except OSError:
            key.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OperatorError(
            f"cannot write the certificate {certificate} and its key {key}: {error.strerror}; "
            "give paths in a directory that the node's user can write to"
        ) from None


def check_pair(certificate: Path, key: Path) -> int:
    """Return the last second, in Unix time, in which the certificate in these files is valid. Raises
    OperatorError, and of that UnusableCertificate where what they hold is damaged or does not belong together."""
    data = _read(certificate, "certificate"), _read(key, "private key")
    chain, private = _pair(certificate, key, *data)
    _context_of({certificate: (chain, private)}, key)
    return int(chain[0].not_valid_after_utc.timestamp())


def is_self_made(certificate: Path) -> bool:
    """Whether a file's certificate is one that `make_self_signed` made. Raises OperatorError where it cannot be
    read."""
    try:
        [found] = x509.load_pem_x509_certificates(_read(certificate, "certificate"))
    except ValueError:
        return False
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found.issuer == found.subject and [each.value for each in common] == [SUBJECT]


def _state_of(path: Path) -> _FileState:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path, what: str) -> bytes:
    """A file's bytes. Raises OperatorError."""
    advice = f"give the path of a PEM file with the {what} that the node's user can read"
    try:
        # Not to wait for the other end where somebody named a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OperatorError(f"the TLS {what} {path} is not a file: {advice}")
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise OperatorError(f"cannot read the TLS {what} {path}: {error.strerror}; {advice}") from None
    except ValueError as error:
        raise OperatorError(f"cannot read the TLS {what} {str(path)!r}: {error}; {advice}") from None
    if len(data) > MAX_FILE:
        raise OperatorError(f"the TLS {what} {path} has more than {MAX_FILE} bytes: {advice}")
    return data


def _pair(certificate: Path, key: Path, certificate_data: bytes, key_data: bytes) -> _Checked:
    """What the contents of the two files are worth together. Raises OperatorError."""
    try:
        chain = x509.load_pem_x509_certificates(certificate_data)
        public = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableCertificate(
            f"{certificate} holds no certificate in PEM format that can be used",
            "give a file with the lines '-----BEGIN CERTIFICATE-----' and '-----END CERTIFICATE-----'",
        ) from None
    private = _private_key(key, key_data)
    if private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public:
        raise UnusableCertificate(
            f"the private key in {key} does not belong to the first certificate in {certificate}",
            "give two files that were made together, with the server's own certificate before those of its "
            "issuers",
        )
    return chain, private


def _context_of(checked: Mapping[Path, _Checked], key: Path) -> SSL.Context:
    """The context of one or several certificates; `key` is the first one's key file. Raises OperatorError."""
    try:
        return _context(list(checked.values()))
    except SSL.Error as error:
        reasons = ", ".join(reason for _, _, reason in error.args[0])
        raise OperatorError(
            f"OpenSSL does not take the certificate in {next(iter(checked))} with the key in {key} ({reasons}): "
            "use a P-256 key, or RSA of at least 2048 bits, and SHA-256"
        ) from None


def _private_key(path: Path, data: bytes) -> _PrivateKey:
    """Raises OperatorError."""
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        raise OperatorError(
            f"the private key in {path} is encrypted, and the node never asks for a passphrase: give a file that "
            f"'openssl pkey -in {path} -out NEWFILE' has written, readable by the node's user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableCertificate(
            f"{path} holds no private key in PEM format that can be used",
            "give a file with the lines '-----BEGIN PRIVATE KEY-----' and '-----END PRIVATE KEY-----'",
        ) from None
    if not isinstance(private, _PrivateKey):
        raise OperatorError(
            f"the private key in {path} is of a kind that TLS servers do not use: make a P-256 key"
        )
    return private


def _context(certificates: Sequence[_Checked]) -> SSL.Context:
    """What the connections of one certificate share, or of several with keys of different kinds, of which OpenSSL
    takes what the client knows. Raises SSL.Error.

    Sessions are resumed by tickets, which the clients keep: 10,000 miners cost the node no memory, and a session
    cache, which would, is off. The key that seals tickets is as old as the context.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | _NO_RENEGOTIATION)
    # An idle connection gives its buffers back: measured, 34 kB are left of 61 (TLS 1.3), 23 of 41 (TLS 1.2).
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_CIPHERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_timeout(SESSION_TIME)
    for chain, private in certificates:
        context.use_certificate(chain[0])
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(private)
        context.check_privatekey()
    return context


def _general_name(name: str) -> x509.GeneralName:
    """A DNS name or the text of an IP address. Raises OperatorError."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if len(name) > _MAX_DNS_NAME or _DNS_NAME.fullmatch(name) is None:
        raise OperatorError(
            f"{name!r} cannot stand in a certificate: give a DNS name (an international one in its xn-- form) or "
            "an IP address"
        )
    return x509.DNSName(name)


def _sign(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    alternatives: Sequence[x509.GeneralName],
    now: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SUBJECT)])
    public = private.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURES_ONLY, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(private, hashes.SHA256())
    )
