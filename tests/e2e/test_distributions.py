"""The source distribution, the wheel and the Debian package: they are built, checked, installed and run."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pool import __version__
from p2pool.operators.settings_template import settings_template
from tests.e2e.disposable_root import DisposableRoot, has_packages
from tests.e2e.installed import InstalledNode, run
from tests.e2e.process import wait_for
from tests.support import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only in a clone: git names the files of the source"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
]


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the repository that exist."""
    listed = run("git", "ls-files", "-z", directory=ROOT).split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def distributions(tracked: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` leaves, made of a copy of the source: a build writes to it."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", directory=source)
    return source / "dist"


def test_a_source_distribution_holds_the_repository(distributions: Path, tracked: set[str]) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {each.name.partition("/")[2] for each in archive if each.isfile()}
    assert tracked - names == set()
    added = {name for name in names - tracked if not name.startswith("p2pool_dash.egg-info/")}
    assert added == {"PKG-INFO", "setup.cfg"}


def test_both_pass_the_checks_of_an_index(distributions: Path) -> None:
    files = [str(path) for path in sorted(distributions.iterdir())]
    assert len(files) == 2
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *files, directory=distributions)
    assert checked.count("PASSED") == 2
    run(sys.executable, "-m", "check_wheel_contents", files[0], directory=distributions)


def test_a_wheel_runs_in_a_bare_environment_from_an_empty_directory(distributions: Path, tmp_path: Path) -> None:
    bare, empty = tmp_path / "bare", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", str(bare), directory=empty)
    # Its dependencies are those of the tests, so that nothing is downloaded. It has none of the optional ones.
    optional = ("hypothesis", "msgspec", "psycopg", "pytest", "redis", "rich")
    hide = f"import sys; sys.modules.update(dict.fromkeys({optional}))"
    (packages,) = bare.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{hide}\n")
    (wheel,) = distributions.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", str(bare / "bin" / "python"))
    run(*pip, "install", "-q", "--no-index", "--no-deps", str(wheel), directory=empty)
    program = str(bare / "bin" / "p2pool-dash")
    shown = run(program, "--version", directory=empty)
    assert shown.startswith(f"p2pool-dash {__version__}\nPython 3.")
    assert "X11 provider: built-in" in shown
    with InstalledNode([program], tmp_path, directory=empty) as node:
        node.check_that_it_finds_a_block()
    assert list(empty.iterdir()) == []
    assert (tmp_path / ".p2pool-dash" / "simnet" / "shares.sqlite").exists()


PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
STAND_IN_FOR_SYSTEMD = """
mkdir -p /run/systemd/system
printf '#!/bin/sh\\necho "$@" >>/calls\\n' >/usr/bin/systemctl
"""
"""Maintainer scripts take it for a running systemd; what they ask of it is in /calls."""
SETTINGS, DATA = "/etc/p2pool-dash/p2pool-dash.toml", "/var/lib/p2pool-dash"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[DisposableRoot]:
    """This machine, with nothing to lose."""
    if not has_packages(PYTHON, "adduser", "ca-certificates", "dpkg"):
        pytest.skip(f"this is not a Debian with {PYTHON} and adduser")
    (tmp_path / "mounts").mkdir()
    try:
        with DisposableRoot(tmp_path / "mounts") as made:
            yield made
    except RuntimeError as problem:
        pytest.skip(str(problem))


def test_a_debian_package_is_installed_runs_and_is_upgraded(
    distributions: Path, root: DisposableRoot, tmp_path: Path
) -> None:
    older, newer = debian_packages(distributions, tmp_path)
    root.run("sh", "-ec", STAND_IN_FOR_SYSTEMD)
    assert "does not run yet" in root.run("dpkg", "--install", str(older))
    assert root.run("stat", "-c", "%U:%G %a", SETTINGS, DATA).split("\n")[:2] == [
        "root:p2pool 640",
        "p2pool:p2pool 750",
    ]
    assert root.run("cat", SETTINGS) == settings_template()
    if has_packages("systemd"):
        root.run("systemd-analyze", "verify", "/usr/lib/systemd/system/p2pool-dash.service")
    assert root.run("dpkg", "--verify", "p2pool-dash") == ""
    with installed_node(root, tmp_path) as node:
        node.check_that_it_finds_a_block()
    shares = root.run("stat", "-c", "%i", f"{DATA}/simnet/shares.sqlite")
    root.run("sed", "-i", "s/^#fee = .*/fee = 0.5/", SETTINGS)

    assert "does not run yet" not in root.run("dpkg", "--install", str(newer))
    assert root.run("dpkg-query", "--show", "--showformat=${Version}", "p2pool-dash") == __version__
    assert "\nfee = 0.5\n" in root.run("cat", SETTINGS)
    assert root.run("stat", "-c", "%U:%G %a", SETTINGS) == "root:p2pool 640\n"
    assert root.run("stat", "-c", "%i", f"{DATA}/simnet/shares.sqlite") == shares
    with installed_node(root, tmp_path, "--simnet-miners", "0") as node:
        wait_for("the stored shares", lambda: node.try_get("api/v1/pool").get("share_chain_height"))
        node.interrupt()

    root.run("dpkg", "--remove", "p2pool-dash")
    root.run(
        "test", "-e", f"{DATA}/simnet/shares.sqlite", "-a", "-e", SETTINGS, "-a", "!", "-e", "/opt/p2pool-dash"
    )
    root.run("touch", f"{DATA}/simnet/blocks/0.pending")
    assert "blocks/0.pending" in root.run("dpkg", "--purge", "p2pool-dash")
    services = {"p2pool-dash.service", "p2pool-dash-gateway@*.service"}
    calls = [(verb, set(units)) for verb, *units in map(str.split, root.run("cat", "/calls").splitlines())]
    installed = [("daemon-reload", set()), ("try-reload-or-restart", services)]
    assert calls == [*installed, *installed, ("stop", services), ("daemon-reload", set())]
    root.run("test", "-e", f"{DATA}/simnet/shares.sqlite", "-a", "!", "-e", "/etc/p2pool-dash")


def debian_packages(distributions: Path, directory: Path) -> tuple[Path, Path]:
    """A package that is older, and that of the wheel: as `make deb` makes it, but for its dependencies."""
    (wheel,) = distributions.glob("*.whl")
    build, packages = directory / "deb", sysconfig.get_path("purelib")
    variables = (f"BUILD={build}", f"DEPENDENCIES={packages}")
    script = str(ROOT / "deploy" / "debian" / "build")
    newer = run("env", *variables, script, sys.executable, str(wheel), directory=directory).splitlines()[-1]
    control = build / "root" / "DEBIAN" / "control"
    control.write_text(control.read_text("utf-8").replace(f"Version: {__version__}", "Version: 0.9"), "utf-8")
    older = directory / "older.deb"
    run("dpkg-deb", "--root-owner-group", "--build", str(build / "root"), str(older), directory=directory)
    return older, Path(newer)


def installed_node(root: DisposableRoot, home: Path, *arguments: str) -> InstalledNode:
    """A node as the service's user, with the settings of the unit."""
    program = root.command("p2pool-dash", "--config", SETTINGS, "--datadir", DATA, user="p2pool")
    return InstalledNode(program, home, *arguments, directory=Path("/"))
