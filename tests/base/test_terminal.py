"""Standard streams that are closed, broken or not read."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import termios

import pytest

from p2pool.base import terminal
from p2pool.base.terminal import Terminal, flush_standard_streams


@pytest.fixture
def pipe():
    """(descriptor to read, stream that writes)."""
    reader, writer = os.pipe()
    with open(writer, "w") as stream:
        yield reader, stream


def test_a_reader_that_went_away(pipe):
    reader, stream = pipe
    os.close(reader)
    assert Terminal(stream).write("nobody reads this\n") == 18


def test_a_pipe_that_nobody_reads_is_not_waited_for(pipe):
    reader, stream = pipe
    screen = Terminal(stream)
    for number in range(3000):  # 300 kB; a pipe holds 64 kB
        screen.write(f"line {number}".ljust(99) + "\n")
    taken = os.read(reader, 1 << 20)
    assert taken.count(b"\n") < 1000
    screen.write("again\n")
    count = 3000 - taken.count(b"\n")
    rest = os.read(reader, 1 << 20).decode()
    assert rest == f"({count} lines are missing here: the output was not read)\nagain\n"
    screen.write("and on\n")
    assert os.read(reader, 1 << 20) == b"and on\n"
    os.close(reader)


def test_a_stopped_terminal_is_not_waited_for_and_one_that_is_gone_does_no_harm():
    master, slave = pty.openpty()
    with open(slave, "w") as stream:
        screen = Terminal(stream)
        assert screen.isatty()
        screen.write("one\n")
        termios.tcflow(slave, termios.TCOOFF)  # Ctrl-S
        for _ in range(1000):
            screen.write("x" * 99 + "\n")
        termios.tcflow(slave, termios.TCOON)
        os.close(master)
        screen.write("gone\n")
        assert isinstance(screen.isatty(), bool)


def test_long_texts_arrive_whole(tmp_path):
    with open(tmp_path / "out", "w", encoding="utf-8") as stream:
        Terminal(stream).write("é" * 10_000)
    assert (tmp_path / "out").read_text("utf-8") == "é" * 10_000


def test_the_stream_s_encoding_is_kept(tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as stream:
        Terminal(stream).write("é\ud800\n")
    assert (tmp_path / "out").read_bytes() == b"\\xe9\\ud800\n"


def test_streams_without_a_descriptor():
    inner = io.StringIO()
    Terminal(inner).write("text")
    assert inner.getvalue() == "text"
    inner.close()
    Terminal(inner).write("text")
    Terminal(None).write("text")
    assert not Terminal(None).isatty()
    assert not Terminal(inner).isatty()


PROGRAM = """
import os, sys
from p2pool.base.terminal import open_standard_streams
open_standard_streams()
descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("out"); print("err", file=sys.stderr); os.write(2, b"a library's complaint")
assert descriptor > 2, descriptor
assert sys.stdin.read() == ""
"""


def test_closed_streams_do_not_give_their_descriptors_to_files(tmp_path):
    status = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", PROGRAM, str(tmp_path / "database")],
        check=False,
    )
    assert status.returncode == 0
    assert (tmp_path / "database").read_bytes() == b""


def test_what_cannot_be_written_at_the_end_is_discarded(pipe, monkeypatch):
    reader, stream = pipe
    os.close(reader)
    monkeypatch.setattr(terminal.sys, "stdout", stream)
    stream.write("left in the buffer")
    flush_standard_streams()
    stream.flush()
