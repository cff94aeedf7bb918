"""Keys and the password: what is kept of them, how they are presented, and what an operator may give."""

from __future__ import annotations

import json
import pickle
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import OperatorError
from p2pool.web import auth
from p2pool.web.auth import (
    MAX_CREDENTIAL,
    MAX_KEY,
    MAX_KEY_FILE,
    MAX_KEYS,
    HashedSecret,
    find_key,
    hash_keys,
    hash_password,
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


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(OperatorError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_keys_of_flags_file_and_environment_each_once(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# comment\n\n  {KEY}1  \r\n{KEY}2\n")
    keys = hash_keys([f"{KEY}2", f"{KEY}3", f"{KEY}3"], file=file, variable=f"{KEY}4, {KEY}1\n{KEY}5", salt=SALT)
    assert len(keys) == 5
    for number in range(1, 6):
        assert find_key(keys, f"{KEY}{number}".encode()) is not None
    assert find_key(keys, KEY.encode()) is None
    assert hash_keys([], file=None, variable="  ", salt=SALT) == ()


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 15, "x" * (MAX_KEY + 1), "x" * 15 + " y", "x" * 16 + "é", "a,b" * 6]
)
def test_keys_that_cannot_be_used_are_refused_and_not_repeated(tmp_path, key):
    text = refusal(hash_keys, [key], file=None, variable="", salt=SALT)
    assert text.startswith("--api-key: a key of")
    assert "16 to 256" in text
    assert not key or key not in text
    if key.strip() == key and key:
        (tmp_path / "keys").write_text(key)
        assert str(tmp_path / "keys") in refusal(hash_keys, [], file=tmp_path / "keys", variable="", salt=SALT)
    if key == "short":
        assert refusal(hash_keys, [], file=None, variable=key, salt=SALT).startswith("P2POOL_API_KEYS: a key of")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "No such file"),
        (b"", "no key"),
        (b"# nothing\n\n", "no key"),
        (b"\xff" * 20, "not text"),
        (b"k" * (MAX_KEY_FILE + 1), "more than"),
    ],
)
def test_key_files_that_are_none(tmp_path, content, part):
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    text = refusal(hash_keys, [], file=file, variable="", salt=SALT)
    assert part in text
    assert str(file) in text
    assert "one key a line" in text or "give one a line" in text


def test_so_many_keys_and_no_more():
    names = [f"{KEY}{number}" for number in range(MAX_KEYS + 1)]
    assert len(hash_keys(names[1:], file=None, variable="", salt=SALT)) == MAX_KEYS
    assert "at most 100" in refusal(hash_keys, names, file=None, variable="", salt=SALT)


def test_the_password():
    assert hash_password("me:secret:too", SALT).matches(b"me:secret:too")
    assert hash_password("mé:sécret", SALT).matches("mé:sécret".encode())
    for text in ("", "me", "me:", ":topsecret", "me:top\nsecret", "me:topsecret" * 30):
        said = refusal(hash_password, text, SALT)
        assert "USER:PASSWORD" in said
        assert "topsecret" not in said
