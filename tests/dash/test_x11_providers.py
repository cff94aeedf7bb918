"""The choice between implementations of X11, and what is said about one that computes wrong hashes."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import pytest

from p2pool.dash.x11_providers import (
    BUILT_IN,
    KNOWN_ANSWERS,
    Provider,
    choose_provider,
    load_built_in,
    load_dash_hash,
    load_x11_hash,
    one_by_one,
    random_headers,
)
from tests.support import ROOT

PACKAGE = load_x11_hash()
HEADERS = random_headers(random.Random(11))[:20]


def same_as_package(**changes) -> Provider:
    """Return a provider that calls itself built-in and computes what x11_hash computes, but for `changes`."""
    assert PACKAGE is not None
    return replace(Provider(BUILT_IN, PACKAGE.digest, PACKAGE.many, "avx2"), **changes)


def wrong_for(bad: bytes) -> Provider:
    """Return a provider that computes a wrong hash of one header."""
    return same_as_package(digest=lambda header: bytes(32) if header == bad else PACKAGE.digest(header))


def test_the_built_in_provider_is_chosen_if_it_is_correct():
    built_in = same_as_package()
    for packages in ((PACKAGE, None), (None, None), (None, PACKAGE)):
        choice = choose_provider(built_in, packages, HEADERS)
        assert choice.provider is built_in
        assert choice.problem == ""
    assert str(built_in) == "built-in (avx2)"


@pytest.mark.parametrize("wrong", [KNOWN_ANSWERS[2][0], HEADERS[19]])
def test_a_wrong_hash_is_reported_and_the_package_is_used(wrong):
    choice = choose_provider(wrong_for(wrong), (PACKAGE, None), HEADERS)
    assert choice.provider is PACKAGE
    assert choice.problem == (
        f"the built-in X11 (avx2) computes a wrong hash of {wrong.hex()}; x11_hash is used instead. Report this "
        "as a bug, with the model of this machine's processor"
    )


def test_headers_that_are_hashed_together_are_compared_as_well():
    def last_is_wrong(headers):
        return [*PACKAGE.many(headers)[:-1], bytes(32)]

    choice = choose_provider(same_as_package(many=last_is_wrong), (PACKAGE, None), HEADERS)
    assert choice.provider is PACKAGE
    assert KNOWN_ANSWERS[2][0].hex() in choice.problem


def test_without_a_package_the_known_answers_decide():
    assert choose_provider(wrong_for(HEADERS[0]), (None, None), HEADERS).problem == ""
    with pytest.raises(ImportError, match="the node cannot run with it"):
        choose_provider(wrong_for(KNOWN_ANSWERS[0][0]), (None, None), HEADERS)


def test_packages_are_tried_in_order_and_wrong_ones_passed_over():
    other, wrong = one_by_one("dash_hash", PACKAGE.digest), one_by_one("x11_hash", lambda header: bytes(32))
    assert choose_provider(None, (PACKAGE, other), HEADERS).provider is PACKAGE
    assert choose_provider(None, (wrong, other), HEADERS).provider is other
    assert choose_provider(None, (None, other), HEADERS).problem == ""
    with pytest.raises(ImportError, match="no working X11 implementation: install a C compiler"):
        choose_provider(None, (wrong, None), HEADERS)


def test_what_is_not_installed_is_not_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "p2pool.dash._x11", None)
    monkeypatch.setitem(sys.modules, "dash_hash", None)
    assert load_built_in() is None
    assert load_dash_hash() is None


HIDDEN = """
import sys
sys.modules["p2pool.dash._x11"] = None
from p2pool.dash import pow
assert pow.x11(pow.GENESIS_HEADER) == pow.GENESIS_HASH
assert pow.x11_digests([pow.GENESIS_HEADER] * 5) == [pow.x11_digest(pow.GENESIS_HEADER)] * 5
print(pow.PROVIDER, repr(pow.PROBLEM))
"""


def test_a_node_without_the_extension_uses_the_package():
    run = subprocess.run([sys.executable, "-c", HIDDEN], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "x11_hash ''\n"


def test_a_self_test_takes_other_headers_each_time():
    headers = random_headers(random.Random(1))
    assert len(headers) == 1000
    assert {len(header) for header in headers} == {80}
    assert headers != random_headers(random.Random(2))
