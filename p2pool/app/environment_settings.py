"""Settings from the environment, as containers and service managers give them: P2POOL_SHARE_RATE is --share-rate.

Secrets have variables with names of their own: see `secret_sources`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given, Setting

PREFIX: Final = "P2POOL_"
_OF_OTHERS: Final = ("P2POOL_COMPILE", "P2POOL_PORT", "P2POOL_SERVICE_")
"""How variables begin that are for `setup.py`, or that Kubernetes makes of a service named p2pool."""
_ON: Final = frozenset(("1", "true", "yes", "on"))
_OFF: Final = frozenset(("0", "false", "no", "off", ""))


def variable_of(setting: Setting) -> str:
    """Return the name of the variable of a setting that is not a secret."""
    return PREFIX + setting.key.upper()


def read_environment(settings: Iterable[Setting], environment: Mapping[str, str]) -> dict[str, tuple[Given, ...]]:
    """Return what the environment gives for each key. An empty variable gives nothing; white space separates the
    values of a list. Raises OperatorError."""
    given: dict[str, tuple[Given, ...]] = {}
    for setting in settings:
        if setting.secret is not None:
            continue
        name = variable_of(setting)
        text = environment.get(name, "").strip()
        if setting.is_switch:
            words = _switch(name, text)
        else:
            words = text.split() if setting.is_list else [text] if text else []
        if words:
            given[setting.key] = tuple(Given(name, word) for word in words)
    return given


def _switch(name: str, text: str) -> list[str]:
    """Return what a flag without a value has in place of one: nothing if it is off."""
    if text.lower() in _ON:
        return ["true"]
    if text.lower() in _OFF:
        return []
    raise OperatorError(f"{name} {text[:50]}: give true or false")


def unknown_variables(settings: Iterable[Setting], environment: Mapping[str, str]) -> list[str]:
    """Return the variables that begin like a setting's and are none: most likely typing errors."""
    known = {variable_of(each) if each.secret is None else each.secret.variable for each in settings}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and not name.startswith(_OF_OTHERS) and name not in known
    )
