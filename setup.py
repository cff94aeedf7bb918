"""Packaging that pyproject.toml cannot express: the web files live outside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["p2pool", "p2pool.*"]), "p2pool.web.static"],
    package_dir={"p2pool.web.static": "web-static"},
    package_data={
        "p2pool.web.static": ["*", "*/*"],
        "p2pool": ["py.typed"],
        "p2pool.networks": ["bootstrap_nodes/*.txt"],
    },
)
