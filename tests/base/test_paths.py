"""Paths as operators write them: what no file can be called is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.base.errors import OperatorError
from p2pool.base.paths import decode_text, default_in_home, home_directory, parse_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the path is empty"),
        ("a\0b", "NUL"),
        ("/etc/\0", "NUL"),
        ("~nosuchuser/x", "--logfile ~nosuchuser/x"),
        ("/tmp/" + "a" * 256, "255 bytes"),
        ("/" + "ä" * 128, "255 bytes"),
        ("/" + "a/" * 2100, "4095"),
    ],
)
def test_what_no_file_can_be_called(text, words):
    with pytest.raises(OperatorError) as caught:
        parse_path("--logfile", text)
    message = str(caught.value)
    assert message.startswith("--logfile ")
    assert words in message
    assert "\0" not in message
    assert len(message) < 400


@pytest.mark.parametrize("home", ["", "relative", "./x"])
def test_a_home_that_is_none(monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    for text in ("~", "~/x"):
        with pytest.raises(OperatorError, match=r"--datadir ~.*: HOME in the environment"):
            parse_path("--datadir", text)
    assert parse_path("--datadir", "/x") == Path("/x")
    assert parse_path("--datadir", "x~") == Path("x~")
    assert home_directory() is None
    assert default_in_home("x") == Path("~/x")


def test_paths_in_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_path("--datadir", "~/x") == default_in_home("x") == tmp_path / "x"
    assert parse_path("--datadir", "rel/x") == Path("rel/x")


def test_a_byte_order_mark_is_no_text():
    assert decode_text(b"\xef\xbb\xbfa") == decode_text(b"a") == "a"
    with pytest.raises(UnicodeDecodeError):
        decode_text("a".encode("utf-16"))
