"""Packaging that pyproject.toml cannot express: the version names the commit, the web files live outside the
package, two modules are in C, and with P2POOL_COMPILE=1 in the environment the modules that p2pool/app/compiled.py
lists are compiled by mypyc."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""One build of the extensions is for all versions of Python from 3.11 on, but not for those without a lock."""
COMPILE = os.environ.get("P2POOL_COMPILE", "0") not in ("", "0")
COMPILERS = ("mypy", "types-")
"""How the names of the packages in requirements-dev.txt begin that mypyc needs."""
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
"""The line of p2pool/__init__.py."""
DESCRIBED = re.compile(r"(?:v(?P<tag>.+)-(?P<commits>\d+)-g)?(?P<commit>[0-9a-f]+(?:\.dirty)?)\s*")
"""What `git describe` prints: tag and commits since then, if there is a tag, and the commit."""


def version() -> str:
    """Return the number in p2pool/__init__.py. In a clone whose HEAD is not the tag with this number, the commit
    is added: 1.0.0+5.gabc1234, five commits after v1.0.0, or 1.0.0+gabc1234 without that tag."""
    number = VERSION.findall(Path("p2pool/__init__.py").read_text("utf-8"))[0]
    # Not of a repository that this source was unpacked in.
    if not Path(".git").exists():
        return number
    command = ["git", "describe", "--tags", "--long", "--always", "--dirty=.dirty", "--match=v[0-9]*"]
    try:
        described = DESCRIBED.fullmatch(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return number
    if described is None:
        return number
    tag, commits, commit = described["tag"], described["commits"], described["commit"]
    if commits == "0" and tag != number:
        raise SystemExit(f"HEAD is tagged v{tag}, but p2pool/__init__.py has version {number}: change one of them")
    if tag != number:
        return f"{number}+g{commit}"
    return number if commits == "0" and "dirty" not in commit else f"{number}+{commits}.g{commit}"


def write_version(folder: str) -> None:
    """Write the version into the copy of p2pool/__init__.py in a folder that is built."""
    path = Path(folder, "p2pool/__init__.py")
    text = VERSION.sub(f'__version__ = "{version()}"', path.read_text("utf-8"))
    path.unlink()  # it may be a hard link to the source
    path.write_text(text, "utf-8")


class BuildWithVersion(build_py):
    """What wheels hold."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write_version(self.build_lib)


class SourceWithVersion(sdist):
    """What source distributions hold: they have no repository to ask."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_version(base_dir)


def requirements(name: str) -> list[str]:
    """Return the lines of a list of requirements that name a package."""
    lines = [line.partition(" #")[0].strip() for line in Path(name).read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def requirements_to_compile() -> list[str]:
    """Return what an isolated build has to install first: the types of all packages count."""
    optional = ("postgresql", "broker", "miner-alerts")
    lists = ("requirements.txt", *(f"requirements-{name}.txt" for name in optional))
    compilers = [line for line in requirements("requirements-dev.txt") if line.startswith(COMPILERS)]
    return [*compilers, *(line for name in lists for line in requirements(name))]


def written_in_c(name: str) -> Extension:
    """Return the extension p2pool.dash.NAME, whose sources are the folder of this name."""
    sources = Path("p2pool/dash", name)
    return Extension(
        f"p2pool.dash.{name}",
        sources=sorted(map(str, sources.glob("*.c"))),
        depends=sorted(map(str, sources.glob("*.h"))),
        extra_compile_args=["-std=c11", "-O3", "-fno-tree-vectorize", "-g0"],
        define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED_API else [],
        py_limited_api=LIMITED_API,
        # Where it cannot be compiled, the package x11_hash and hashlib are used.
        optional=True,
    )


def compiled_extensions() -> list[Extension]:
    """Return the extensions that mypyc makes of the listed modules: one with all the code, and a stub for each."""
    from mypyc.build import mypycify

    tree = ast.parse(Path("p2pool/app/compiled.py").read_text("utf-8"))
    (listed,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "MODULES" and node.value is not None
    ]
    paths = [module.replace(".", "/") + ".py" for module in ast.literal_eval(listed)]
    return mypycify(paths, opt_level="3", debug_level="0", group_name="p2pool", target_dir="build/mypyc")


OPTIONS: dict[str, dict[str, str]] = {}
if COMPILE:
    # A folder of its own: wheels hold whatever an earlier build left in theirs.
    OPTIONS["build"] = {"build_base": "build/compiled"}
elif LIMITED_API:
    OPTIONS["bdist_wheel"] = {"py_limited_api": "cp311"}

# Before an isolated build, pip runs this file once only to ask for `setup_requires`.
has_mypyc = find_spec("mypyc") is not None
ONLY_ASK = {"egg_info", "dist_info", "sdist"}
"""Commands that need no compiled modules: they ask for names, or copy sources."""
compiles = COMPILE and has_mypyc and not ONLY_ASK & set(sys.argv)

setup(
    version=version(),
    cmdclass={"build_py": BuildWithVersion, "sdist": SourceWithVersion},
    packages=[*find_packages(include=["p2pool", "p2pool.*"]), "p2pool.web.static"],
    package_dir={"p2pool.web.static": "web-static"},
    package_data={
        "p2pool.web.static": ["*", "*/*"],
        "p2pool": ["py.typed"],
        "p2pool.dash": ["*.pyi"],
        "p2pool.networks": ["bootstrap_nodes/*.txt"],
    },
    exclude_package_data={"p2pool.dash": ["_x11/*", "_sha256/*"]},  # for those who build
    setup_requires=requirements_to_compile() if COMPILE and not has_mypyc else [],
    ext_modules=[
        *(compiled_extensions() if compiles else ()),
        written_in_c("_x11"),
        written_in_c("_sha256"),
    ],
    options=OPTIONS,
)
