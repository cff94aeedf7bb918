"""Usernames and passwords taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.dash import address
from p2pool.dash.address import encode_address
from p2pool.dash.target import difficulty_to_target
from p2pool.networks import DASH, DASH_REGTEST
from p2pool.stratum.errors import ErrorCode, StratumError
from p2pool.stratum.username import (
    MIN_SECRET,
    parse_username,
    password_difficulty,
    password_secret,
    positive_number,
    secret_hash,
)

KEY_HASH = bytes(range(20))
VERSIONS = DASH_REGTEST.parent.addresses
ADDRESS = encode_address(VERSIONS.pubkey_hash, KEY_HASH)


def parse(text: str):
    return parse_username(text, DASH_REGTEST)


def refused(text: str) -> StratumError:
    with pytest.raises(StratumError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("rest", "worker", "fixed", "share", "rate"),
    [
        ("", "", None, None, None),
        (".rig", "rig", None, None, None),
        ("_rig", "rig", None, None, None),
        (".rig.1_a", "rig.1_a", None, None, None),
        (".", "", None, None, None),
        ("+8", "", 8.0, None, None),
        ("/8", "", None, 8.0, None),
        ("+s8", "", None, None, 8.0),
        (".rig+0.5/1e3+s20", "rig", 0.5, 1000.0, 20.0),
        (".rig+s20/3+2", "rig", 2.0, 3.0, 20.0),
        ("+s0.1", "", None, None, 1.0),
        ("+s3600", "", None, None, 60.0),
        (". rig ", "rig", None, None, None),
    ],
)
def test_the_forms_of_a_username(rest, worker, fixed, share, rate):
    username = parse(ADDRESS + rest)
    assert username.key_hash == KEY_HASH
    assert username.address == ADDRESS
    assert username.name == (f"{ADDRESS}.{worker}" if worker else ADDRESS)
    assert (username.fixed_difficulty, username.share_difficulty, username.share_rate) == (fixed, share, rate)


@pytest.mark.parametrize(
    ("rest", "worker"),
    [
        ("/rig1", "rig1"),
        ("+512.rig1", "512.rig1"),
        (".rig+abc", "rig+abc"),
        ("_rig/left+right", "rig/left+right"),
        ("+solar", "solar"),
        (".rig+solar", "rig+solar"),
    ],
)
def test_an_option_that_is_no_number_is_part_of_the_worker_s_name(rest, worker):
    username = parse(ADDRESS + rest)
    assert username.name == (f"{ADDRESS}.{worker}" if worker else ADDRESS)
    assert (username.fixed_difficulty, username.share_difficulty, username.share_rate) == (None, None, None)


@pytest.mark.parametrize(
    "option", ["+", "/", "+s", "+-1", "/0", "+nan", "/inf", "+s1_0", "+1e999", "++2", ".rig+"]
)
def test_numbers_that_make_no_sense_and_bare_signs_are_refused_as_such(option):
    assert refused(ADDRESS + option).code is ErrorCode.OTHER


def test_options_and_what_is_none_in_any_order():
    username = parse(f"{ADDRESS}/rig1/4096+x+512+s20+y")
    assert username.name == f"{ADDRESS}.rig1+x+y"
    assert (username.fixed_difficulty, username.share_difficulty, username.share_rate) == (512, 4096, 20)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (encode_address(76, KEY_HASH), "not an address of the network dash_regtest"),
        (encode_address(VERSIONS.script_hash, KEY_HASH), "P2SH"),
        (ADDRESS[:-1] + ("1" if ADDRESS[-1] != "1" else "2"), "checksum"),
        (ADDRESS[:-1], "33 characters instead of 34"),
        ("y" + "0" + ADDRESS[2:], "no address contains the character '0'"),
        ("", "no address in the username: set a Dash address (34 characters, begins with y)"),
        (".rig", "no address in the username"),
        ("/rig", "no address in the username"),
        ("bitcoinrig", "bitcoinrig is not a Dash address (34 characters, begins with y): set one as the username"),
        ("0OIl", "0OIl is not a Dash address"),
        (encode_address(0, KEY_HASH), "is a Bitcoin address, not an address of the network"),
        (encode_address(48, KEY_HASH), "is a Litecoin address"),
        (encode_address(199, KEY_HASH), "is an address of another coin"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "is a Bitcoin address"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "is an Ethereum address"),
        (encode_address(76, KEY_HASH), "is an address of the Dash main network"),
        (ADDRESS + "x" * 300, "the username has 334 characters; at most 256 are allowed"),
    ],
)
def test_an_address_that_cannot_be_paid_is_refused_with_the_reason(text, part):
    refusal = refused(text)
    assert refusal.code is ErrorCode.UNAUTHORIZED
    assert any(p in refusal.text for p in part.split("|"))


def test_on_the_main_network_addresses_begin_with_x_and_those_of_the_test_network_are_named():
    for text, problem in (
        ("bitcoinrig", "bitcoinrig is not a Dash address (34 characters, begins with X): set one as the username"),
        (ADDRESS, f"{ADDRESS} is an address of the Dash test network, not an address of the network dash: set "),
    ):
        with pytest.raises(StratumError) as caught:
            parse_username(text, DASH)
        assert caught.value.text.startswith(problem)


@pytest.mark.parametrize(
    "text", ["y" * 34, "X" * 34, "1" * 34, "\u202e" * 34, "y" + "\x00" * 33, "a" * 250, "\ud800"]
)
def test_every_message_is_one_short_printable_sentence_without_bytes(text):
    message = refused(text).text
    assert message.isprintable()
    assert len(message) < 200
    assert "byte" not in message
    assert "base58" not in message


@pytest.mark.parametrize(("wish", "target"), [("1e-300", 2**256 - 1), ("1e300", 0)])
def test_a_wish_that_no_target_expresses_means_the_end_of_the_range(wish, target):
    """A number beyond what a target can hold once ended in a traceback when the next job was made."""
    assert abs(difficulty_to_target(parse(f"{ADDRESS}/{wish}").share_difficulty) - target) < 2**225


def test_names_are_fit_for_logs_and_pages():
    name = parse(ADDRESS + ".<b>\x1b[31m\n\u202e" + "w" * 200).name
    assert name.isprintable()
    assert len(name) == len(ADDRESS) + 1 + 64


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text):
    for candidate in (text, ADDRESS + text, f"{ADDRESS}.rig+{text}"):
        refusal = None
        try:
            username = parse(candidate)
        except StratumError as error:
            refusal = error
        if refusal is not None:
            assert refusal.text.isprintable()
            assert len(refusal.text) <= 200
        else:
            assert username.key_hash == KEY_HASH
            assert username.name.isprintable()
            for value in (username.fixed_difficulty, username.share_difficulty, username.share_rate):
                assert value is None or value > 0


@given(
    st.from_regex(r"[a-zA-Z0-9._]{0,20}", fullmatch=True),
    st.none() | st.floats(2.0**-30, 1e9),
    st.none() | st.floats(2.0**-30, 1e9),
    st.none() | st.floats(1, 60),
)
def test_what_is_put_together_is_taken_apart_again(worker, fixed, share, rate):
    text = f"{ADDRESS}.{worker}"
    text += "" if fixed is None else f"+{fixed!r}".replace("e+", "e")
    text += "" if share is None else f"/{share!r}".replace("e+", "e")
    text += "" if rate is None else f"+s{rate!r}"
    username = parse(text)
    assert (username.fixed_difficulty, username.share_difficulty, username.share_rate) == (fixed, share, rate)
    assert username.name == (f"{ADDRESS}.{worker}" if worker else ADDRESS)


@pytest.mark.parametrize(
    ("password", "difficulty"),
    [
        ("d=64", 64.0),
        ("x, d=0.5 ,y", 0.5),
        ("d=8,d=9", 8.0),
        ("x", None),
        ("", None),
        ("d=", None),
        ("d=-1", None),
        ("d=nan", None),
        ("D=5", None),
        ("diff=5", None),
        ("d=1" + " " * 300, None),
        (None, None),
        (64, None),
        (["d=1"], None),
    ],
)
def test_passwords(password, difficulty):
    assert password_difficulty(password) == difficulty


SECRET = "s" * MIN_SECRET


@pytest.mark.parametrize(
    ("password", "secret"),
    [
        (f"alerts={SECRET}", SECRET),
        (f"d=64, alerts={SECRET} ,x", SECRET),
        (f"alerts={SECRET}=1", f"{SECRET}=1"),
        (f"alerts={SECRET},alerts=other-secret", SECRET),
        (f"alerts={SECRET[:-1]}", None),
        (f"alerts= {SECRET[:-1]} ", None),
        (f"alert={SECRET}", None),
        (SECRET, None),
        (f"alerts={SECRET}{'x' * 300}", None),
        ("alerts=\ud800" + SECRET, "\ud800" + SECRET),
        (None, None),
        ([f"alerts={SECRET}"], None),
    ],
)
def test_secrets_in_passwords(password, secret):
    found = password_secret(password)
    assert found == (None if secret is None else secret_hash(secret))
    assert (found is None) is (secret is None)


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ("2.5", 2.5), (10**400, None), (True, None), (None, None), ("1_0", None), ("1" * 41, None)],
)
def test_positive_numbers(value, number):
    assert positive_number(value) == number


def test_a_mistyped_address_is_decoded_twice_not_once_a_character(monkeypatch):
    """A read of 64 KB has 685 of them: that took 57 ms of one turn."""
    calls = []
    value_of = address.value_of
    monkeypatch.setattr(address, "value_of", lambda *arguments: calls.append(arguments) or value_of(*arguments))
    with pytest.raises(StratumError, match="checksum"):
        parse_username(ADDRESS[:-1] + ("a" if ADDRESS[-1] != "a" else "b"), DASH_REGTEST)
    assert len(calls) <= 2
