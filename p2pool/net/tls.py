"""The TLS certificates of listening ports: loading them, replacing them while the node runs, making one.

`app` loads a `ServerCertificate` for each pair of files, gives it to the TLS layer of a port (Twisted's
TLSMemoryBIOFactory), and calls `reload_if_changed` every few seconds, so that a renewed certificate is in use
without a restart. It reads files on the calling thread: two, of some kilobytes. Checking an RSA key of 2048 bits
takes some 50 ms, of 4096 bits some 400 ms; that happens only when the files have changed.
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
"""Seconds for which a client may resume its session: miners stay connected for days, and all reconnect at once
after a line was down. RFC 5246 (F.1.4) suggests 24 hours as the upper limit."""
SELF_SIGNED_DAYS: Final = 3650
"""Days of validity: nobody renews a certificate whose fingerprint is in the settings of miners."""
RSA_BITS: Final = 2048
"""More bits would cost each handshake five times as much CPU time; making the key takes part of a second, once."""
SUBJECT: Final = "p2pool"
CHECKS_BEFORE_WARNING: Final = 2
"""Certificate and key are often replaced one after the other: what does not load at one check may at the next."""

_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"
    b"ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    b"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
"""The ciphers of TLS 1.2, with forward secrecy, the best first. Those with CBC are for miners with old
firmware."""
_NO_RENEGOTIATION: Final = 1 << 30
"""OpenSSL's SSL_OP_NO_RENEGOTIATION, which pyOpenSSL does not name."""
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
"""RFC 1123 does not allow underscores in host names, but names of containers have them."""
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
"""The key usage with ECDHE."""

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_FileState = tuple[int, int, int] | None
"""(modified in nanoseconds, bytes, inode); None if the file cannot be checked."""
_log = Logger(namespace="p2pool.tls")


_Checked = tuple[list[x509.Certificate], _PrivateKey]
"""A chain, the server's own certificate first, and its key."""


class KeyKind(Enum):
    """The kinds of keys of self-signed certificates."""

    ECDSA = "P-256"
    RSA = "RSA"


class UnusableCertificate(OperatorError):
    """The certificate or key is corrupt, or they do not belong together: `problem` says how."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}: {advice}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The content of good files: the fingerprint of each certificate, and the first end of their validity."""

    context: SSL.Context
    fingerprints: tuple[str, ...]
    not_after: int


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """A certificate, those of its issuers and its key, as they are in two files now or when they last were good.

    There may be an additional certificate, with a key of another kind, for clients that know that kind only.
    """

    def __init__(self, certificate: Path, key: Path, *, additional: tuple[Path, Path] | None = None) -> None:
        """Load PEM files: the certificate itself first, those of its issuers after it. Raises OperatorError."""
        self._files = [(certificate, key), *([additional] if additional is not None else [])]
        self._state = self._check_files()
        self._failed_checks = 0
        self._warned_of: tuple[_FileState, ...] | None = None
        self._refused: tuple[list[tuple[bytes, bytes]], str] | None = None
        self._loaded = self._load()

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate: pairs of hexadecimal digits and colons, as openssl prints it."""
        return self._loaded.fingerprints[0]

    @property
    def other_fingerprint(self) -> str | None:
        """Return the fingerprint of the additional certificate; None if there is none."""
        return self._loaded.fingerprints[1] if len(self._loaded.fingerprints) > 1 else None

    @property
    def not_after(self) -> int:
        """Return the last second in which the certificate is valid, in Unix time."""
        return self._loaded.not_after

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the OpenSSL side of a new connection, which keeps the present certificate for its whole life."""
        connection = SSL.Connection(self._loaded.context, None)
        connection.set_accept_state()
        return connection

    def reload_if_changed(self) -> bool:
        """Load the files again if they have changed. Return whether new connections get a new certificate from now
        on.

        If the files do not load, the last good certificate stays in use, and they are tried again at every check.
        """
        state = self._check_files()
        if state == self._state and not self._failed_checks:
            return False
        # A change between this check and the reading is found by the next check.
        self._state = state
        try:
            self._loaded = self._load()
        except OperatorError as error:
            self._failed_checks += 1
            if self._failed_checks >= CHECKS_BEFORE_WARNING and state != self._warned_of:
                self._warned_of = state
                _log.warn(
                    "cannot load the new TLS certificate: {error}. The certificate {used} stays in use",
                    error=str(error),
                    used=self.fingerprint,
                )
            return False
        self._failed_checks = 0
        self._warned_of = None
        return True

    def _check_files(self) -> tuple[_FileState, ...]:
        return tuple(_state_of(path) for pair in self._files for path in pair)

    def _load(self) -> _Loaded:
        """Read and check the files. Raises OperatorError."""
        contents = [(_read(pair[0], "certificate"), _read(pair[1], "private key")) for pair in self._files]
        if self._refused is not None and self._refused[0] == contents:
            # Checking the same RSA key every few seconds would delay the miners each time.
            raise OperatorError(self._refused[1])
        try:
            checked = {
                files[0]: _check_contents(files, content)
                for files, content in zip(self._files, contents, strict=True)
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
                "loaded the TLS certificate {file}: SHA-256 fingerprint {fingerprint}, valid until {until}",
                file=str(path),
                fingerprint=fingerprints[-1],
                until=f"{datetime.fromtimestamp(ends[-1], UTC):%Y-%m-%d %H:%M:%S} UTC",
            )
        return _Loaded(context, tuple(fingerprints), min(ends))


def make_self_signed(
    certificate: Path, key: Path, *, names: Sequence[str], now: float, kind: KeyKind = KeyKind.ECDSA
) -> None:
    """Write a new key and a certificate that it signs itself, for DNS names and IP addresses.

    `now` is Unix time in seconds; the certificate is valid from a day before it, for slow clocks, to ten years
    after it. The key file is readable by its owner only from the first moment. Both files are on the disk at
    return. Raises OperatorError, also if either file exists: the operator's files are never replaced. Blocks.
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
    # The key is written first: a certificate alone would look as if its key had been lost.
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
    OperatorError; it is an UnusableCertificate if the files are corrupt or do not belong together."""
    contents = _read(certificate, "certificate"), _read(key, "private key")
    chain, private = _check_contents((certificate, key), contents)
    _context_of({certificate: (chain, private)}, key)
    return int(chain[0].not_valid_after_utc.timestamp())


def is_self_made(certificate: Path) -> bool:
    """Return whether a file's certificate was made by `make_self_signed`. Raises OperatorError if it cannot be
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
    """Return a file's bytes. Raises OperatorError."""
    advice = f"give the path of a PEM file with the {what} that the node's user can read"
    try:
        # Non-blocking, so as not to wait for the other end if the path is a pipe.
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


def _check_contents(files: tuple[Path, Path], contents: tuple[bytes, bytes]) -> _Checked:
    """Return the chain and the key in (certificate, key) if they belong together. Raises OperatorError."""
    (certificate, key), (certificate_data, key_data) = files, contents
    try:
        chain = x509.load_pem_x509_certificates(certificate_data)
        public = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableCertificate(
            f"{certificate} has no usable certificate in PEM format",
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
    """Return the context of one or several certificates; `key` is the first one's key file. Raises
    OperatorError."""
    try:
        return _context(list(checked.values()))
    except SSL.Error as error:
        reasons = ", ".join(reason for _, _, reason in error.args[0])
        raise OperatorError(
            f"OpenSSL rejects the certificate in {next(iter(checked))} with the key in {key} ({reasons}): "
            "use a P-256 key, or RSA of at least 2048 bits, and SHA-256"
        ) from None


def _private_key(path: Path, data: bytes) -> _PrivateKey:
    """Return the private key in a file's bytes. Raises OperatorError."""
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        raise OperatorError(
            f"the private key in {path} is encrypted, and the node never asks for a passphrase: give a file that "
            f"'openssl pkey -in {path} -out NEWFILE' has written, readable by the node's user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableCertificate(
            f"{path} has no usable private key in PEM format",
            "give a file with the lines '-----BEGIN PRIVATE KEY-----' and '-----END PRIVATE KEY-----'",
        ) from None
    if not isinstance(private, _PrivateKey):
        raise OperatorError(
            f"the private key in {path} is of a kind that TLS servers do not use: make a P-256 key"
        )
    return private


def _context(certificates: Sequence[_Checked]) -> SSL.Context:
    """Return what the connections of a certificate share. Of several certificates with keys of different kinds,
    OpenSSL chooses the one that the client knows. Raises SSL.Error.

    Sessions are resumed by tickets, which the clients store: they cost the node no memory for 10,000 miners. The
    session cache, which would cost memory, is off. The key that encrypts tickets is as old as the context.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | _NO_RENEGOTIATION)
    # An idle connection releases its buffers: measured, it keeps 34 of 61 kB (TLS 1.3) or 23 of 41 kB (TLS 1.2).
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
    """Return the certificate's form of a DNS name or of the text of an IP address. Raises OperatorError."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if len(name) > _MAX_DNS_NAME or _DNS_NAME.fullmatch(name) is None:
        raise OperatorError(
            f"{name!r} cannot be in a certificate: give a DNS name (an international one in its xn-- form) or "
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
