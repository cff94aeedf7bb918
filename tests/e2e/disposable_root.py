"""A copy of this machine's root file system in which packages can be installed, and which is gone afterwards.

It is an overlay in a mount namespace of its own: nothing is copied, and nothing that happens in it is seen
outside.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.installed import PATH, run

MOUNT = """
set -e
mount -t tmpfs -o size=1g none "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" none "$0/root"
mount -t proc none "$0/root/proc"
mount --rbind /dev "$0/root/dev"
mount -t tmpfs none "$0/root/run"
echo mounted
exec sleep infinity
"""
"""Its last process keeps the namespace."""


class DisposableRoot:
    """To be used in a `with`. RuntimeError, with the reason, where the system does not allow it."""

    def __init__(self, directory: Path) -> None:
        """`directory` is empty, and stays so outside."""
        self.path = directory / "root"
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "chroot"))):
            raise RuntimeError("only root, with unshare, nsenter and chroot, can make a root file system")
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", MOUNT, str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "mounted\n":
            raise RuntimeError(f"no root file system can be mounted here: {self._keeper.communicate()[1].strip()}")

    def __enter__(self) -> DisposableRoot:
        return self

    def __exit__(self, *_: Any) -> None:
        self._keeper.send_signal(signal.SIGKILL)
        self._keeper.communicate()

    def command(self, *words: str, user: str = "root") -> list[str]:
        """The words of a command that runs another one inside, in /. Its process is that of the other one."""
        enter = ["nsenter", "--target", str(self._keeper.pid), "--mount"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return [*enter, "chroot", str(self.path), *(become if user != "root" else ()), *words]

    def run(self, *words: str, user: str = "root") -> str:
        """The output of a command inside, which must succeed."""
        return run(*self.command(*words, user=user), directory=Path("/"), home=Path("/root"))


def has_packages(*names: str) -> bool:
    """Whether these packages of Debian are installed here."""
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ", *names]
    shown = subprocess.run(query, capture_output=True, text=True, env={"PATH": PATH}, check=False)
    return shown.stdout.split() == ["installed"] * len(names)
