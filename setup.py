"""Packaging that pyproject.toml cannot express: the web files live outside the package, and X11 is in C."""

import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup

X11 = Path("p2pool/dash/_x11")
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")
"""One build of the extension is for all versions of Python from 3.11 on, but not for those without a lock."""

setup(
    packages=[*find_packages(include=["p2pool", "p2pool.*"]), "p2pool.web.static"],
    package_dir={"p2pool.web.static": "web-static"},
    package_data={
        "p2pool.web.static": ["*", "*/*"],
        "p2pool": ["py.typed"],
        "p2pool.dash": ["*.pyi"],
        "p2pool.networks": ["bootstrap_nodes/*.txt"],
    },
    exclude_package_data={"p2pool.dash": ["_x11/*"]},  # for those who build
    ext_modules=[
        Extension(
            "p2pool.dash._x11",
            sources=sorted(map(str, X11.glob("*.c"))),
            depends=sorted(map(str, X11.glob("*.h"))),
            extra_compile_args=["-std=c11", "-O3", "-fno-tree-vectorize", "-g0"],
            define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED_API else [],
            py_limited_api=LIMITED_API,
            # Where it cannot be compiled, the package x11_hash is used.
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
