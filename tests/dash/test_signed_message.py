"""Messages signed by Dash Core and by others, against the addresses that signed them."""

from __future__ import annotations

import base64

import coincurve
import pytest

from p2pool.dash.address import decode_address, encode_address
from p2pool.dash.hashes import hash160, sha256d
from p2pool.dash.signed_message import SignatureError, message_digest, signer_of
from p2pool.wire.codec import pack_varstr

CORE = (
    "yeMpGzMj3rhtnz48XsfpB8itPHhHtgxLc3",
    "ICzMhjIUmmXcPWy2+9nw01zQMawo+s5FIy6F7VMkL+TmIeNq1j3AMEuw075os29kh5KYLbysKkDlDD+EAqERBd4=",
    "This is just a test message",
)
"""Of Dash Core's own test (dashpay/dash, test/functional/rpc_signmessage.py)."""
VECTORS = [
    CORE,
    (  # dashhive/dashmsg, README: made with the key XK5DHnAiSj6HQNsNcDkawd9qdp8UFMdYftdVZFuRreTMJtbJhk8i
        "XyBmeuLa8y3D3XmzPvCTj5PVh7WvMPkLn1",
        "H2Opy9NX72iPZRcDVEHrFn2qmVwWMgc+DKILdVxl1yfmcL2qcpu9esw9wcD7RH0/dJHnIISe5j39EYahorWQM7I=",
        "dte2022-akerdemelidis|estoever|mmason",
    ),
    (  # of an uncompressed key: a public test of signatures of many coins
        "XtPVZxrdUuMUTAbX1cD96WjdTgM4t6Zxe7",
        "GxHw5X4QZwmRadRAF3UiLX5nI6xXc3uZQQ0Ty0j9YC3MPerxqywxamTLjkO2SdsGzG8c67O9EwWpeoeT9BdVQhk=",
        "This is an example of a signed message.",
    ),
]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize(("address", "signature", "message"), VECTORS)
def test_signatures_that_others_made(address, signature, message):
    expected = decode_address(address)[1]
    assert signer_of(signature, message) == expected
    assert signer_of(f" {signature}\n", message) == expected
    assert signer_of(signature, message + " ") != expected
    assert signer_of(VECTORS[0][1] if signature != CORE[1] else VECTORS[1][1], message) != expected


def changed(signature: str, header: int | None = None, r: int | None = None, s: int | None = None) -> str:
    data = base64.b64decode(signature)
    parts = (
        data[:1] if header is None else bytes([header]),
        data[1:33] if r is None else r.to_bytes(32, "big"),
        data[33:] if s is None else s.to_bytes(32, "big"),
    )
    return base64.b64encode(b"".join(parts)).decode()


HEADER, S = base64.b64decode(CORE[1])[0], int.from_bytes(base64.b64decode(CORE[1])[33:], "big")


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ("", "it has 0 bytes"),
        ("!" * 88, "not base64"),
        ("ü" * 8, "not base64"),
        ("A" * 101, "not base64"),
        (CORE[1][:-8], "bytes instead of 65"),
        (changed(CORE[1], header=26), "does not begin"),
        (changed(CORE[1], header=35), "does not begin"),
        (changed(CORE[1], r=0), "no key"),
        (changed(CORE[1], s=0), "no key"),
        (changed(CORE[1], r=ORDER), "no key"),
        (changed(CORE[1], s=ORDER), "no key"),
        (changed(CORE[1], r=2**256 - 1), "no key"),
    ],
)
def test_what_cannot_be_a_signature(signature, words):
    with pytest.raises(SignatureError, match=words):
        signer_of(signature, CORE[2])


@pytest.mark.parametrize("header", [each for each in range(27, 35) if each != HEADER])
def test_another_header_is_another_key(header):
    try:
        found = signer_of(changed(CORE[1], header=header), CORE[2])
    except SignatureError:
        return
    assert found != decode_address(CORE[0])[1]


def test_a_malleated_signature_is_of_the_same_key():
    """Dash Core accepts it as well. Nothing here depends on there being one signature only."""
    malleated = changed(CORE[1], header=27 + ((HEADER - 27) ^ 1), s=ORDER - S)
    assert malleated != CORE[1]
    assert signer_of(malleated, CORE[2]) == decode_address(CORE[0])[1]


def test_the_magic_of_another_coin():
    key = coincurve.PrivateKey(b"\x07" * 32)
    message = b"x" * 300
    for magic, is_own in ((b"DarkCoin Signed Message:\n", True), (b"Bitcoin Signed Message:\n", False)):
        digest = sha256d(pack_varstr(magic) + pack_varstr(message))
        assert (digest == message_digest(message)) is is_own
        signed = key.sign_recoverable(digest, hasher=None)
        signature = base64.b64encode(bytes([31 + signed[64]]) + signed[:64]).decode()
        own = hash160(key.public_key.format(compressed=True))
        assert (signer_of(signature, message.decode()) == own) is is_own
        assert encode_address(76, own)[0] == "X"
