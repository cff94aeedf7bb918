"""A declared setting: its names, its value, its range, and what help and documents say about it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import OperatorError
from p2pool.base.setting_values import one_of, read_existing_directory, read_ip_network
from p2pool.base.settings import (
    Given,
    Secret,
    Setting,
    Shown,
    derived,
    format_number,
    read_integer,
    read_number,
    setting,
    settings_of,
    shown_of,
    switch,
)


@dataclass(frozen=True, kw_only=True)
class Example:
    share_rate: float = setting(
        10.0, short="-s", metavar="SECONDS", limits=(0.5, 3600), unit="seconds", shown=Shown.VALUE, help="a rate"
    )
    most: int = setting(1_000_000, metavar="N", shown=Shown.VALUE, help="a count")
    nodes: tuple[str, ...] = setting(
        (), flag="--node", metavar="HOST", collect=tuple, most=2, shown=Shown.COMPOSED, help="a node"
    )
    password: str | None = setting(
        None, metavar="TEXT", secret=Secret("P2POOL_PASSWORD"), shown=Shown.PRESENCE, help="a secret"
    )
    debug: bool = switch(help="a switch")
    everything: str = derived("", shown=Shown.NEVER)


RATE, MOST, NODES, PASSWORD, DEBUG = settings_of(Example)


def refusal(of: Setting, *texts: str) -> str:
    with pytest.raises(OperatorError) as caught:
        of.parse([Given(of.label, text) for text in texts])
    return str(caught.value)


def test_errors_show_the_text_but_no_password():
    assert refusal(RATE, "u:hunter2@h") == "-s/--share-rate ...@h: this is not a number"
    assert refusal(RATE, "0") == "-s/--share-rate 0: must be between 0.5 and 3600 seconds"


def test_errors_repeat_nothing_of_a_secret():
    @dataclass(frozen=True, kw_only=True)
    class Secrets:
        pin: int = setting(
            0, metavar="N", limits=(1000, 9999), secret=Secret("PIN"), shown=Shown.NEVER, help="a secret number"
        )
        pins: tuple[int, ...] = setting(
            (),
            metavar="N",
            read=read_integer,
            collect=tuple,
            secret=Secret("PINS"),
            shown=Shown.NEVER,
            help="secret numbers",
        )

    pin, pins = settings_of(Secrets)
    assert refusal(pin, "hunter2") == "--pin: this is not a whole number"
    assert refusal(pin, "12345") == "--pin: must be between 1000 and 9999"
    assert refusal(pins, "1", "hunter2") == "--pins: this is not a whole number"
    assert pins.parse([Given("--pins", "1"), Given("--pins", "2")]) == (1, 2)


def test_a_secret_cannot_be_public():
    with pytest.raises(ValueError, match="P2POOL_PASSWORD is a secret and cannot be shown"):
        setting(None, metavar="TEXT", secret=Secret("P2POOL_PASSWORD"), shown=Shown.VALUE, help="a secret")


def test_names_follow_from_the_field():
    assert (RATE.name, RATE.flag, RATE.key, RATE.label) == (
        "share_rate",
        "--share-rate",
        "share_rate",
        "-s/--share-rate",
    )
    assert (NODES.name, NODES.flag, NODES.key, NODES.file_flag) == ("nodes", "--node", "node", "")
    assert (PASSWORD.file_flag, PASSWORD.file_key) == ("--password-file", "password_file")
    assert (DEBUG.is_switch, RATE.is_switch, NODES.is_list, RATE.is_list) == (True, False, True, False)


def test_the_default_is_the_class_attribute():
    assert (Example.share_rate, RATE.default, Example().share_rate) == (10, 10, 10)
    assert Example().debug is False


def test_values():
    assert RATE.parse([Given("-s", "1"), Given("-s", "2.5")]) == 2.5  # the last one counts
    assert MOST.parse([Given("--most", "7")]) == 7
    assert NODES.parse([Given("--node", "a"), Given("--node", "b")]) == ("a", "b")
    assert DEBUG.parse([Given("--debug", "True")]) is True


@pytest.mark.parametrize(
    ("of", "texts", "words"),
    [
        (RATE, ["much"], "-s/--share-rate much: this is not a number"),
        (RATE, ["0.4"], "-s/--share-rate 0.4: must be between 0.5 and 3600 seconds"),
        (RATE, ["nan"], "-s/--share-rate nan: must be between"),
        (MOST, ["1.5"], "--most 1.5: this is not a whole number"),
        (MOST, ["9" * 5000], "this is not a whole number"),
        (MOST, ["a\nb\x1b"], "--most a?b?: this is not"),
        (NODES, ["a", "b", "c"], "--node is given 3 times; at most 2 can be used"),
    ],
)
def test_what_is_refused(of, texts, words):
    assert words in refusal(of, *texts)


def test_what_help_says():
    assert [each.described_default() for each in (RATE, MOST, NODES, PASSWORD, DEBUG)] == [
        "10",
        "1000000",
        "",
        "",
        "",
    ]
    assert [each.described_limits() for each in (RATE, MOST)] == ["0.5 and 3600 seconds", ""]


def test_secrets_are_not_in_the_representation():
    assert "hunter2" not in repr(Example(password="hunter2"))


def test_what_is_shown():
    assert shown_of(Example) == {
        "share_rate": Shown.VALUE,
        "most": Shown.VALUE,
        "nodes": Shown.COMPOSED,
        "password": Shown.PRESENCE,
        "debug": Shown.VALUE,
        "everything": Shown.NEVER,
    }


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_refused_in_one_line(text):
    for read in (read_integer, read_number, one_of(["a"]), read_ip_network, read_existing_directory):
        said = None
        try:
            read(Given("--flag", text))
        except OperatorError as error:
            said = str(error)
        assert said is None or (said.startswith("--flag ") and said.isprintable())


@given(st.integers(-(10**14), 10**14))
def test_whole_numbers_are_shown_in_full(value):
    assert format_number(value) == format_number(float(value)) == str(value)
