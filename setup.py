"""Packaging that pyproject.toml cannot express: the web files live outside the package, two modules are in C, and
with P2POOL_COMPILE=1 in the environment the modules that p2pool/app/compiled.py lists are compiled by mypyc."""

import ast
import os
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, find_packages, setup

LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""One build of the extensions is for all versions of Python from 3.11 on, but not for those without a lock."""
COMPILE = os.environ.get("P2POOL_COMPILE", "0") not in ("", "0")
COMPILERS = ("mypy", "types-")
"""How the names of the packages in requirements-dev.txt begin that mypyc needs."""


def requirements(name: str) -> list[str]:
    """Return the lines of a list of requirements that name a package."""
    lines = [line.partition(" #")[0].strip() for line in Path(name).read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def requirements_to_compile() -> list[str]:
    """Return what an isolated build has to install first: the types of all packages count."""
    lists = ("requirements.txt", "requirements-postgresql.txt", "requirements-broker.txt")
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
can_compile = COMPILE and find_spec("mypyc") is not None

setup(
    packages=[*find_packages(include=["p2pool", "p2pool.*"]), "p2pool.web.static"],
    package_dir={"p2pool.web.static": "web-static"},
    package_data={
        "p2pool.web.static": ["*", "*/*"],
        "p2pool": ["py.typed"],
        "p2pool.dash": ["*.pyi"],
        "p2pool.networks": ["bootstrap_nodes/*.txt"],
    },
    exclude_package_data={"p2pool.dash": ["_x11/*", "_sha256/*"]},  # for those who build
    setup_requires=requirements_to_compile() if COMPILE and not can_compile else [],
    ext_modules=[
        *(compiled_extensions() if can_compile else ()),
        written_in_c("_x11"),
        written_in_c("_sha256"),
    ],
    options=OPTIONS,
)
