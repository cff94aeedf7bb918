"""A worker that is lost makes the run fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
import os, signal, pytest
pytest_plugins = ["tests.tools.workers"]
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        {end}
"""


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("pass", None),
        ("raise ValueError('no such measure')", "ValueError: no such measure"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "LOST worker gw0: Not properly terminated"),
    ],
)
def test_a_lost_worker_fails_the_run(end: str, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(end=end))
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    ours = ("SLIPCOVER", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:schemathesis", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode == 0) == (says is None), run.stdout
    assert says is None or says in run.stdout
