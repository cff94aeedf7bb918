"""Keys and the password: what is kept of them, and how they are presented."""

from __future__ import annotations

import json
import pickle
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.web import auth
from p2pool.web.auth import (
    MAX_CREDENTIAL,
    HashedSecret,
    find_key,
    key_fingerprint,
    presented_key,
    presented_login,
)

SALT = bytes(range(16))
KEY = "0123456789abcdef"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_secret_matches_itself_only(one, other):
    kept = HashedSecret.of(one, SALT)
    assert kept.matches(one)
    assert kept.matches(other) == (one == other)


def test_nothing_of_it_is_kept_or_shown():
    kept = HashedSecret.of(b"very secret indeed", SALT)
    for shown in (repr(kept), str(kept), json.dumps({"x": str(kept)}), pickle.dumps(kept, 0).decode("latin-1")):
        assert "secret indeed" not in shown
    assert HashedSecret.of(b"very secret indeed", b"other salt").digest != kept.digest
    assert kept.fingerprint == key_fingerprint(b"very secret indeed")
    assert len(kept.fingerprint) == 8


def test_comparisons_are_in_constant_time_and_all_keys_are_compared(monkeypatch):
    compared = []

    class Watched:
        digest = staticmethod(auth.hmac.digest)

        @staticmethod
        def compare_digest(one, other):
            compared.append((one, other))
            return one == other

    monkeypatch.setattr(auth, "hmac", Watched)
    keys = [HashedSecret.of(name.encode(), SALT) for name in ("first", "second", "third")]
    assert find_key(keys, b"first") is keys[0]
    assert len(compared) == 3
    assert find_key(keys, b"none of them") is None
    assert len(compared) == 6
    assert all(len(one) == len(other) == 32 for one, other in compared)
    assert find_key(keys, b"x" * (MAX_CREDENTIAL + 1)) is None
    assert len(compared) == 6


@pytest.mark.parametrize(
    ("api_key", "authorization", "key"),
    [
        (None, None, None),
        ("abc", None, b"abc"),
        (" abc ", None, b"abc"),
        ("", None, b""),
        (None, "Bearer abc", b"abc"),
        (None, "bearer  abc ", b"abc"),
        (None, "Bearer", b""),
        (None, "Basic abc", None),
        (None, "abc", None),
        ("one", "Bearer two", b"one"),
        ("\xff", None, b"\xc3\xbf"),
    ],
)
def test_how_keys_are_presented(api_key, authorization, key):
    assert presented_key(api_key, authorization) == key


@pytest.mark.parametrize(
    ("authorization", "login"),
    [
        (None, None),
        ("Bearer abc", None),
        ("Basic " + b64encode(b"me:secret").decode(), b"me:secret"),
        ("bAsIc  " + b64encode("me:s\xe9".encode()).decode(), "me:s\xe9".encode()),
        ("Basic", b""),
        ("Basic !!!", b""),
        ("Basic \xff", b""),
        ("Basic bWU6c2VjcmV", b""),
    ],
)
def test_how_the_password_is_presented(authorization, login):
    assert presented_login(authorization) == login
