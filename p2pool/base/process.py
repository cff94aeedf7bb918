"""What the operating system reports about processes. Reading the figures reads files: call it in a thread."""

from __future__ import annotations

import os
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

OWN = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """Resident memory in bytes, processor time in seconds (all threads, user and system), open file descriptors
    and their limit (-1: none), threads. `open_files` is None if the system does not report it."""

    resident_bytes: int
    cpu_seconds: float
    open_files: int | None
    max_files: int
    threads: int


def read_process_figures(own: Path = OWN) -> ProcessFigures:
    """Return the figures now. `own` is Linux's directory of this process; without it (other systems) memory is the
    most that was ever used."""
    times = os.times()
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resident = _resident_bytes(own)
    return ProcessFigures(
        resident_bytes=_peak_bytes() if resident is None else resident,
        cpu_seconds=times.user + times.system,
        open_files=_open_files(own),
        max_files=-1 if soft == resource.RLIM_INFINITY else soft,
        threads=_threads(own),
    )


def process_exists(process: int) -> bool:
    """Return whether a process of this user runs, or has ended and was not waited for."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _resident_bytes(own: Path) -> int | None:
    try:
        return int((own / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _peak_bytes() -> int:
    """Return the most memory that was ever resident; macOS counts bytes, all others kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _open_files(own: Path) -> int | None:
    """Return the number of open files. Newer kernels give it as the directory's size; listing ten thousand takes
    milliseconds."""
    directory = own / "fd"
    try:
        return os.stat(directory).st_size or len(os.listdir(directory))
    except OSError:
        return None


def _threads(own: Path) -> int:
    """Return the number of threads; Python's own if the system does not report it."""
    try:
        status = (own / "status").read_text("utf-8", errors="replace")
    except OSError:
        return threading.active_count()
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "Threads" and value.strip().isdigit():
            return int(value)
    return threading.active_count()
