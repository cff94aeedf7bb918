"""Builds the container image without a registry, and runs it without a container engine.

buildah builds it on a root file system of Debian 12. It runs in namespaces of its own (mounts, processes,
network) with what an engine would do for the service `simnet` of deploy/compose.yaml: the root file system
read-only, a volume at /data, a tmpfs at /tmp, the image's user without capabilities, its entry point as process
1, and its health check.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.e2e.process import wait_for
from tests.support import ROOT

BASE: Final = "P2POOL_TEST_CONTAINER"
"""The environment variable that has the test build an image: a directory with the root file system of Debian 12
(it is not changed), or "debootstrap", which makes one."""
OPTIONS: Final = "P2POOL_TEST_BUILD_OPTIONS"
"""More options for `buildah build`, such as --volume for the certificates and pip.conf of this machine."""
TOOLS: Final = ("buildah", "unshare", "nsenter", "ip")
_MOUNTS: Final = """
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount --bind "$DATA" "$ROOT/data"
mount --rbind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
ip link set lo up
exec chroot "$ROOT" setpriv --reuid "$ID" --regid "$ID" --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -i --chdir "$PLACE" "$@"
"""


def why_not() -> str:
    """Why no image can be built here; "" if one can."""
    if not os.environ.get(BASE):
        return f"takes many minutes: set {BASE} to build and run an image"
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        return f"needs root, and {', '.join(TOOLS)}"
    return ""


class Image:
    """The image of this checkout, made by `build` below `directory`. `close` removes it, and all containers."""

    def __init__(self, directory: Path) -> None:
        self._storage = ("--root", str(directory / "images"), "--runroot", str(directory / "run"))
        self._directory = directory
        self._buildah_log = directory / "build.log"
        self._containers: list[str] = []
        self.config: dict[str, Any] = {}
        """What the image says about how it is to be run."""

    def build(self) -> float:
        """Build the image; the seconds that this took, without the base image."""
        self._make_base(self._directory)
        started = time.monotonic()
        self._buildah(
            *("build", "--isolation", "chroot", "--network", "host", "--format", "docker"),
            *("--build-arg", "BASE=localhost/debian", "--file", str(ROOT / "deploy" / "Containerfile")),
            *("--tag", "p2pool-dash", *shlex.split(os.environ.get(OPTIONS, "")), str(ROOT)),
        )
        seconds = time.monotonic() - started
        document = json.loads(self._buildah("inspect", "--type", "image", "p2pool-dash"))
        self.config = document["Docker"]["config"]
        return seconds

    def _make_base(self, directory: Path) -> None:
        base = Path(os.environ[BASE])
        if str(base) == "debootstrap":
            base = directory / "debian"
            subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(base)], check=True)
        place = self._mount("scratch")
        subprocess.run(["cp", "--archive", f"{base}/.", place], check=True)
        self._buildah("commit", "--quiet", "--format", "docker", self._containers[-1], "localhost/debian")

    def _mount(self, image: str) -> str:
        """The root file system of a new container."""
        self._containers.append(self._buildah("from", "--pull-never", image))
        return self._buildah("mount", self._containers[-1])

    def _buildah(self, *arguments: str) -> str:
        with open(self._buildah_log, "ab") as log:
            run = subprocess.run(
                ["buildah", *self._storage, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, check=False
            )
        assert run.returncode == 0, self._buildah_log.read_text("utf-8", "replace")[-4000:]
        return run.stdout.strip()

    def run(self, data: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Container:
        """Start a container on a directory for its volume, with arguments for the program."""
        return Container(Path(self._mount("p2pool-dash")), self.config, data, arguments, environment)

    def close(self) -> None:
        """Unmount and remove everything."""
        for container in self._containers:
            self._buildah("rm", container)
        self._buildah("rmi", "--all", "--force")


class Container:
    """A running container; killed at the end of a `with`."""

    def __init__(
        self,
        root: Path,
        config: Mapping[str, Any],
        data: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self._config = config
        self._variables = [*config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        users = (line.split(":") for line in (root / "etc" / "passwd").read_text("ascii").splitlines())
        (self.user,) = (int(fields[2]) for fields in users if fields[0] == config["User"])
        data.mkdir()
        os.chown(data, self.user, self.user)
        self.log = data.with_name("container.log")
        with open(self.log, "wb") as output:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", _MOUNTS, "sh"),
                    *(*self._variables, *config["Entrypoint"], *arguments),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "ROOT": str(root),
                    "DATA": str(data),
                    "ID": str(self.user),
                    "PLACE": config["WorkingDir"],
                },
            )
        self._program = Path(config["Entrypoint"][0]).name
        self.first_process = wait_for("process 1", self._find_first_process, 30)
        """Process 1 of the container, by its number here."""

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return self.log.read_text("utf-8", "replace")

    def _find_first_process(self) -> int | None:
        """Process 1 of the container, by its number here, once it is the program of the image."""
        own = self._process.pid
        assert self._process.poll() is None, self.output
        numbers = Path(f"/proc/{own}/task/{own}/children").read_text("ascii").split()
        if not numbers or Path(f"/proc/{numbers[0]}/comm").read_text("ascii").strip() != self._program:
            return None
        return int(numbers[0])

    def execute(self, *command: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as the image's user by default."""
        number = str(self.user if user is None else user)
        return subprocess.run(
            [
                *("nsenter", "--target", str(self.first_process), "--mount", "--pid", "--net", "--root", "--wd"),
                *("--setuid", number, "--setgid", number, "env", "-i", *self._variables, *command),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def is_healthy(self) -> bool:
        """What the health check of the image says."""
        kind, *command = self._config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.execute(*command).returncode == 0

    def terminate(self) -> tuple[int, float]:
        """SIGTERM to process 1; the exit status, and the seconds until then."""
        started = time.monotonic()
        os.kill(self.first_process, 15)
        return self._process.wait(60), time.monotonic() - started
