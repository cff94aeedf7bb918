"""The system's clock, chance and threads reach services through the environment: who takes them otherwise is
named here, with the reason. Else a simulated node would not do the same in each run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support import ROOT, parse_module

PACKAGE = ROOT / "p2pool"
PURE: Final = {
    "time": {"gmtime", "strftime", "struct_time"},
    "random": {"Random"},
    "secrets": {"compare_digest"},
    "threading": set(),
    "uuid": {"UUID"},
    "datetime": {"UTC", "date", "datetime", "timedelta", "timezone", "tzinfo"},
}
"""What may be used of modules that read the system: names of them that only compute."""
READS_CLOCK: Final = {"now", "utcnow", "today"}
"""Methods of `datetime.datetime` and `datetime.date` that read the clock."""
SYSTEM_CALLS: Final = {
    "os.urandom",
    "os.getrandom",
    "deferToThread",
    "threads.deferToThread",
    "cooperate",
    "coiterate",
    "task.cooperate",
    "task.coiterate",
    "random.Random",
}
"""Functions that reach past the environment; `random.Random` if it is given no seed."""
ALLOWED: Final = {
    "base/environment.py": "makes the real environment",
    "base/daemon_thread.py": "is the environment's run_in_daemon_thread",
    "base/signals.py": "waits for the process's signals, in a thread",
    "base/supervised.py": "watches the process that started this one, in a thread",
    "base/process.py": "counts the process's threads",
    "base/known_databases.py": "a lock between threads that the environment starts",
    "base/handover_socket.py": "blocks, in the thread of a take-over",
    "app/process.py": "makes the process: its reactor and its time",
    "app/program_runner.py": "waits for a process that takes over, in a thread",
    "app/stopping.py": "ends the process when all else hangs, in a thread",
    "app/take_over.py": "answers a process that takes over, in a thread",
    "app/child_process.py": "waits for the end of a gateway's process, in a thread",
    "app/logs.py": "a lock: threads log, too",
    "alerts/mail.py": "a deadline inside a call that blocks in a thread",
    "broker/connection.py": "blocks in threads of its own; the simulation has another broker in its place",
    "dash/pow.py": "the self-test of X11 takes other headers at every start; the simulation replaces X11",
    "dash/sha256.py": "the self-test of SHA-256 takes other messages at every start, and keeps nothing of them",
    "dash/address.py": "a comparison under way belongs to one thread",
    "operators/top.py": "a command, not a service: a thread asks the node while another one answers keys",
    "operators/backup.py": "a command, not a service: the time of a backup is in its manifest",
    "web/settings.py": "salts, made while settings are read, before there is an environment",
    "simnet/miner.py": "a CPU miner: threads that hash",
    "simnet/miner_threads.py": "a CPU miner: threads that hash, and their rate",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def system_uses(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, what) for each use of the system's clock, chance or threads in a file."""
    modules: dict[str, str] = {}
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Import):
            modules.update({each.asname or each.name: each.name for each in node.names if each.name in PURE})
        elif isinstance(node, ast.ImportFrom) and node.module in PURE:
            for each in node.names:
                if each.name not in PURE[node.module]:
                    yield node.lineno, f"{node.module}.{each.name}"
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None and node.attr not in PURE[module]:
                yield node.lineno, f"{module}.{node.attr}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            clock = called.split(".")[-2:-1] in (["datetime"], ["date"]) and called.split(".")[-1] in READS_CLOCK
            if clock or (called in SYSTEM_CALLS and not (called == "random.Random" and node.args)):
                yield node.lineno, f"{called}()"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_services_use_the_environment(path):
    found = [f"line {line}: {what}" for line, what in system_uses(path)]
    name = str(path.relative_to(PACKAGE))
    if name in ALLOWED:
        assert found, f"{name} needs no exception any more"
    else:
        assert found == [], f"{name} must take this from its Environment, or as an argument"


def test_exceptions_are_files():
    assert {name for name in ALLOWED if not (PACKAGE / name).is_file()} == set()


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "from time import monotonic",
        "import time as t\nt.sleep(1)",
        "import random\nrandom.choice([1])",
        "import random\nrandom.Random()",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.now()",
        "import os\nos.urandom(8)",
        "from twisted.internet.threads import deferToThread\ndeferToThread(print)",
        "import threading\nthreading.Thread()",
    ],
)
def test_uses_are_found(text, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(text)
    assert list(system_uses(path))


def test_what_only_computes_is_no_use(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import random\nimport time\nrandom.Random(1)\ntime.strftime('%F', time.gmtime(0))")
    assert list(system_uses(path)) == []
