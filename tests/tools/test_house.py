"""The figures of `tests.tools.house` on small packages made on the spot."""

from __future__ import annotations

import ast

import pytest

from tests.tools import house


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Write files below a package `p2pool`, and read them."""
    monkeypatch.setattr(house, "ROOT", tmp_path)
    monkeypatch.setattr(house, "PACKAGE", tmp_path / "p2pool")

    def read(files: dict[str, str]) -> list[house.Module]:
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / "p2pool" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return house.read_modules(tmp_path / "p2pool")

    return read


def test_circles_between_packages_and_inside_one(modules):
    found = modules(
        {
            "a/__init__.py": "",
            "a/x.py": "from p2pool.a.y import thing\n",
            "a/y.py": "def late():\n    from p2pool.a import x\n",
            "b.py": "import p2pool.c\n",
            "c.py": "from p2pool.d import thing\n",
            "d.py": "from p2pool import b\nfrom p2pool.a import x\n",
        }
    )
    assert house.circles(found) == ([["b", "c", "d"]], [["p2pool.a.x", "p2pool.a.y"]])


@pytest.mark.parametrize(
    ("source", "is_method", "count"),
    [
        ("def f(a, b, *, c): ...", False, 2),
        ("def f(a, /, b, c=1, *d, e, **g): ...", False, 3),
        ("def f(self, a, b): ...", True, 2),
        ("@staticmethod\ndef f(a, b): ...", True, 2),
    ],
)
def test_parameters_that_may_be_passed_unnamed(source, is_method, count):
    [node] = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    assert house.positional_count(node, is_method) == count


def test_figures_name_their_places(modules):
    found = modules(
        {
            "a.py": '"""Too short."""\n\n\nclass A:\n'
            "    def __init__(self, reactor: Any, b, c, d):\n        pass\n\n"
            "    def wide(self, a, b, c, d, e):\n        pass\n"
        }
    )
    figures = {figure.name: figure for figure in house.measure(found)}
    assert figures["docstrings under four words"].places == ("p2pool/a.py: Too short.",)
    assert figures["parameters `reactor: Any`"].places == ("p2pool/a.py:5",)
    assert figures["constructors with more than 3 positional parameters"].places == ("p2pool/a.py:5 __init__: 4",)
    assert figures["functions with more than 3 positional parameters"].places == ("p2pool/a.py:8 wide: 5",)
    assert figures["largest function"].value == "2 lines, p2pool/a.py:wide"
    assert figures["modules at the top level"].value == "1 files, 1 with packages"


def test_settings_that_are_declared_again(modules):
    found = modules(
        {
            "a.py": "class A:\n    rate: float = setting(10.0, help='(default: 10)')\n"
            "    once: int = setting(1, help='x')\n    other: int = setting(None, help='x')\n",
            "b.py": "class B:\n    rates: int = setting(1, flag='--rate', help='x')\n    rate: float = 5.0 * 2\n",
            "c.py": "class C:\n    rate: float = A.rate\n    once: bool = False\n    other: int = 5\n",
            "app/d.py": "parser.add_argument('--rate')\nparser.add_argument('--help')\n",
        }
    )
    assert house.settings_declared_again(found) == [
        "p2pool/a.py:2 help of --rate has the default written out",
        "p2pool/b.py:2 --rate is declared again",
        "p2pool/app/d.py:1 --rate is added by hand",
        "p2pool/b.py:3 default of rate",
    ]


def test_the_code_keeps_the_habits_of_its_layout(capsys):
    assert house.main(["--list"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert "modules at the top level: 1 files, 22 with packages" in lines
    for habit in (
        "import circles between packages",
        "import circles inside packages",
        "constructors with more than 3 positional parameters",
        "functions with more than 3 positional parameters",
        "parameters `reactor: Any`",
        "docstrings under four words",
        "settings declared more than once",
    ):
        assert f"{habit}: 0" in lines, printed
    assert largest(lines, "largest file") <= 500
    assert largest(lines, "largest function") <= 60


def largest(lines: list[str], name: str) -> int:
    """Return the number of a figure like `largest file: 497 lines, p2pool/x.py`."""
    (line,) = (line for line in lines if line.startswith(f"{name}: "))
    return int(line.split()[2])
