"""The container image is built from this checkout, finds a block, and stops when told to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from tests.e2e.container import Image, why_not
from tests.e2e.process import wait_for
from tests.support import ROOT

SERVICE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))["services"]["simnet"]


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_image_runs_read_only_and_without_rights_until_it_is_told_to_stop(tmp_path: Path) -> None:
    image = Image(tmp_path)
    data = tmp_path / "data"
    try:
        built = image.build()
        started = time.monotonic()
        with image.run(data, ["--simnet-hash-rate", "20000"], SERVICE["environment"]) as container:
            wait_for("health", container.is_healthy, 60, period=1)
            healthy = time.monotonic() - started
            wait_for("a block", lambda: "accepted by dashd" in container.output, period=1)
            block = time.monotonic() - started
            status = Path(f"/proc/{container.first_process}/status").read_text("ascii")
            assert f"Uid:\t{container.user}\t{container.user}" in status
            assert "CapBnd:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status
            refused = container.execute("touch", "/opt/p2pool-dash/new", user=0)
            assert "Read-only file system" in refused.stderr
            assert list(data.glob("simnet/blocks/*.pending*"))
            ended, seconds = container.terminate()
        print(f"built in {built:.0f} s, healthy after {healthy:.0f} s, a block after {block:.0f} s,", end=" ")
        print(f"stopped in {seconds:.1f} s")
        assert ended == 0, container.output
        assert seconds < 10
        assert "Traceback" not in container.output
        assert "Tini is not running as PID 1" not in container.output
    finally:
        image.close()
