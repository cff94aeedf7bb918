"""API keys and the password as an operator gives them: what is taken, and that nothing is repeated."""

from __future__ import annotations

import pytest

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given
from p2pool.web.auth import find_key
from p2pool.web.settings import MAX_KEY, MAX_KEYS, parse_api_keys, read_password

KEY = "0123456789abcdef"
FLAG = "--api-key"


def refusal(function, given) -> str:
    with pytest.raises(OperatorError) as caught:
        function(given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_keys_of_several_sources_each_once():
    given = [Given(FLAG, f" {KEY}1"), Given(FLAG, f"{KEY}2"), Given("P2POOL_API_KEYS", f"{KEY}1")]
    keys = parse_api_keys(given)
    assert len(keys) == 2
    for number in (1, 2):
        assert find_key(keys, f"{KEY}{number}".encode()) is not None
    assert find_key(keys, KEY.encode()) is None


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 15, "x" * (MAX_KEY + 1), "x" * 15 + " y", "x" * 16 + "é", "a,b" * 6]
)
@pytest.mark.parametrize("source", [FLAG, "--api-key-file /etc/keys", "P2POOL_API_KEYS"])
def test_keys_that_cannot_be_used_are_refused_and_not_repeated(source, key):
    text = refusal(parse_api_keys, [Given(source, key)])
    assert text.startswith(f"{source}: a key of")
    assert "16 to 256" in text
    assert not key or key not in text


def test_so_many_keys_and_no_more():
    given = [Given(FLAG, f"{KEY}{number}") for number in range(MAX_KEYS + 1)]
    assert len(parse_api_keys(given[1:])) == MAX_KEYS
    assert "at most 100" in refusal(parse_api_keys, given)


def test_the_password():
    assert read_password(Given("", "me:secret:too")).matches(b"me:secret:too")
    assert read_password(Given("", "mé:sécret")).matches("mé:sécret".encode())
    for text in ("", "me", "me:", ":topsecret", "me:top\nsecret", "me:topsecret" * 30):
        said = refusal(read_password, Given("--web-password", text))
        assert said.startswith("--web-password: give USER:PASSWORD")
        assert "topsecret" not in said
