"""Certificates that the node makes for itself: for clients of any kind, made anew where they are damaged, never in
the place of somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from OpenSSL import SSL

from p2pool.base.errors import OperatorError
from p2pool.net.own_certificate import find_certificate
from p2pool.net.tls import CHECKS_BEFORE_WARNING, SELF_SIGNED_DAYS, KeyKind, ServerCertificate, make_self_signed
from tests.logged import logged
from tests.net.test_tls import CA, DAY, FIRST, LEGACY, NOW, RSA, SECOND, connected, made, shown

NAMES = ("cert.pem", "key.pem", "cert-rsa.pem", "key-rsa.pem")
RSA_ONLY = {"version": SSL.TLS1_2_VERSION, "ciphers": b"ECDHE-RSA-AES128-SHA", "options": LEGACY}
"""A client as old as OpenSSL 1.0.2 that knows RSA only."""


class Own:
    """A node's own certificate in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate, self.key, self.rsa, self.rsa_key = (directory / name for name in NAMES)

    def find(self, now: float = NOW, self_signed: bool = True) -> ServerCertificate:
        return find_certificate((None, None), own=(self.certificate, self.key), self_signed=self_signed, now=now)

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}

    def put(self, certificate: bytes, key: bytes) -> None:
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)


@pytest.fixture
def own(tmp_path):
    return Own(tmp_path)


def kinds(certificate: ServerCertificate) -> list[type]:
    """The kinds of keys that clients of today, of TLS 1.2, and those that know RSA only are shown."""
    found = []
    for options in ({}, {"version": SSL.TLS1_2_VERSION}, RSA_ONLY):
        key = connected(certificate, **options)[0].get_peer_certificate(as_cryptography=True).public_key()
        found.append(ec if isinstance(key, ec.EllipticCurvePublicKey) else rsa)
    return found


def test_there_is_one_for_clients_that_know_rsa_only(own):
    with logged() as log:
        certificate = own.find()
    assert set(own.contents()) == set(NAMES)
    assert kinds(certificate) == [ec, ec, rsa]
    assert certificate.fingerprint != certificate.other_fingerprint
    assert sum("made the self-signed certificate" in line for line in log.lines) == 2
    assert sum(certificate.fingerprint in line for line in log.lines) == 1
    assert sum(str(certificate.other_fingerprint) in line for line in log.lines) == 1
    for key in (own.key, own.rsa_key):
        assert key.stat().st_mode & 0o777 == 0o600
    one, other = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (own.certificate, own.rsa))
    alternatives = [each.extensions.get_extension_for_class(x509.SubjectAlternativeName) for each in (one, other)]
    assert alternatives[0] == alternatives[1]


def test_a_restart_changes_nothing(own):
    first = own.find()
    before = own.contents()
    again = own.find(NOW + 300 * DAY)
    assert own.contents() == before
    assert (again.fingerprint, again.other_fingerprint) == (first.fingerprint, first.other_fingerprint)


def test_one_of_an_older_version_gets_its_rsa_certificate(own):
    make_self_signed(own.certificate, own.key, names=["localhost"], now=NOW)
    before = own.contents()
    certificate = own.find()
    assert kinds(certificate) == [ec, ec, rsa]
    assert before.items() <= own.contents().items()


DAMAGE = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "a bad byte": lambda data: data[:100] + b"!" + data[101:],
    "gone": lambda data: None,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_one_is_made_anew(own, name, damage):
    before = own.find()
    contents, path = own.contents(), own.directory / name
    data = DAMAGE[damage](path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    with logged() as log:
        after = own.find()
    assert kinds(after) == [ec, ec, rsa]
    [warning] = [line for line in log.lines if "replacing the node's own certificate" in line]
    assert str(path) in warning
    is_rsa = "rsa" in name
    assert (after.fingerprint == before.fingerprint) is is_rsa
    assert (after.other_fingerprint == before.other_fingerprint) is not is_rsa
    # Nothing is lost: the old files stand beside the new ones.
    kept = [each for each in own.contents() if ".old-" in each]
    assert len(kept) == (1 if damage == "gone" else 2)
    assert all(f"{own.directory / each}" in warning for each in kept)
    for each in set(NAMES) - {name}:
        assert contents[each] in own.contents().values()
    with logged() as log:
        assert own.find().fingerprint == after.fingerprint
    assert not [line for line in log.lines if "replacing the node's own certificate" in line]


def test_a_key_of_another_certificate_and_corruption_twice_in_a_second(own):
    own.find()
    for _ in range(3):
        own.key.write_bytes(FIRST.key_pem)
        assert kinds(own.find()) == [ec, ec, rsa]
    assert sum(".old-" in name for name in own.contents()) == 6


def test_both_are_renewed_before_they_expire(own):
    first = own.find()
    end = NOW + SELF_SIGNED_DAYS * DAY
    assert own.find(end - 40 * DAY).fingerprint == first.fingerprint
    later = own.find(end - 20 * DAY)
    assert later.fingerprint != first.fingerprint
    assert later.other_fingerprint != first.other_fingerprint
    assert later.not_after == end - 20 * DAY + SELF_SIGNED_DAYS * DAY
    assert kinds(later) == [ec, ec, rsa]


def test_a_replaced_one_of_either_kind_is_in_use_without_a_restart(own, tmp_path):
    certificate = own.find()
    first, other = certificate.fingerprint, certificate.other_fingerprint
    make_self_signed(tmp_path / "new", tmp_path / "new-key", names=["localhost"], now=NOW, kind=KeyKind.RSA)
    (tmp_path / "new").replace(own.rsa)
    assert not certificate.reload_if_changed()  # the key is still the old one
    (tmp_path / "new-key").replace(own.rsa_key)
    assert certificate.reload_if_changed()
    assert (certificate.fingerprint == first, certificate.other_fingerprint == other) == (True, False)
    own.rsa.write_bytes(b"damaged meanwhile")
    with logged() as log:
        for _ in range(CHECKS_BEFORE_WARNING + 1):
            certificate.reload_if_changed()
    assert len(log.lines) == 1
    assert kinds(certificate) == [ec, ec, rsa]


# --- what is somebody else's -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair", [FIRST, RSA, made("pool.example")], ids=["of a CA", "RSA of a CA", "another's own"]
)
def test_a_certificate_of_somebody_else_stays_as_it_is(own, pair):
    own.put(pair.pem + CA.pem, pair.key_pem)
    before = own.contents()
    certificate = own.find(NOW + 29 * DAY)  # also when it expires soon
    assert own.contents() == before
    assert certificate.other_fingerprint is None
    options = {"version": SSL.TLS1_2_VERSION}
    assert connected(certificate, **options)[0].get_peer_certificate(as_cryptography=True) == pair.certificate


def test_given_files_are_never_replaced(own, tmp_path):
    given = tmp_path / "given.pem", tmp_path / "given.key"
    given[0].write_bytes(FIRST.pem)
    given[1].write_bytes(SECOND.key_pem)
    before = own.contents()
    for self_signed in (True, False):
        with pytest.raises(OperatorError, match="does not belong"):
            find_certificate(given, own=(own.certificate, own.key), self_signed=self_signed, now=NOW)
        assert own.contents() == before


def test_without_the_flag_nothing_is_made_or_replaced(own):
    with pytest.raises(OperatorError, match="No such file"):
        own.find(self_signed=False)
    assert own.contents() == {}
    own.put(b"", b"")
    with pytest.raises(OperatorError, match="has no usable certificate"):
        own.find(self_signed=False)


def test_what_may_be_good_but_cannot_be_read_is_not_replaced(own, monkeypatch):
    own.find()
    real = os.open

    def refusing(path, *more):
        if Path(path) == own.key:
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    before = own.contents()
    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(OperatorError, match="Permission denied"):
        own.find()
    monkeypatch.undo()
    assert own.contents() == before
    locked = FIRST.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x" * 16))
    own.put(FIRST.pem, locked)
    with pytest.raises(OperatorError, match="encrypted"):
        own.find()
    assert own.key.read_bytes() == locked


def test_where_there_is_no_place_for_the_rsa_one_the_other_serves(own):
    make_self_signed(own.certificate, own.key, names=["localhost"], now=NOW)
    own.rsa.mkdir()
    with logged() as log:
        certificate = own.find()
    assert "its RSA companion" in log.lines[0]
    assert own.rsa.is_dir()
    assert certificate.other_fingerprint is None
    assert shown(certificate) == x509.load_pem_x509_certificate(own.certificate.read_bytes())
