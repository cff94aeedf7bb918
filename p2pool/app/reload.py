"""Reads the settings again while the program runs (SIGHUP), and takes those that can be changed without a
restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Protocol

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from p2pool.alerts.settings import AlertSettings
from p2pool.app.config import Config
from p2pool.app.settings import all_settings
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.base.service_manager import MainProcess
from p2pool.web.auth import HashedSecret

LIVE: Final = frozenset(("debug", "api_keys", "api_key_endpoints", "ban_allow"))
"""The fields of `Config` that are taken at once."""
LIVE_ALERTS: Final = {
    "rules": "alert-events, alert-group and alert-quiet",
    "node": "alert-node",
    "page": "alert-page",
    "thresholds": "alert-threshold",
}
"""The fields of its `alerts` that are, and what they are called."""
_DERIVED: Final = frozenset(("alerts", "given", "notices", "key_hash", "take_over", "supervised"))
"""Fields that say nothing of their own, or are for the start."""
_log = Logger(namespace="p2pool")


class Reloadable(Protocol):
    """A program whose settings can be changed while it runs."""

    def apply(self, config: Config) -> None:
        """Use the settings of `LIVE` and `LIVE_ALERTS` from now on."""

    async def reload_certificates(self) -> list[str]:
        """Load TLS certificates whose files have changed. Return whose they are: "stratum", "web"."""


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What new settings change: `config` is the one in force with what can be taken, `taken` and `left` name the
    settings that are, and those that need a restart."""

    config: Config
    taken: tuple[str, ...]
    left: tuple[str, ...]


def plan_reload(old: Config, new: Config) -> ReloadPlan:
    """Return what becomes of settings that were read again."""
    labels = {each.name: each.flag.removeprefix("--") for each in all_settings().values()}
    live = LIVE - {"ban_allow"} if old.gateways else LIVE  # its gateways were given it at their start
    changes: dict[str, Any] = {}
    taken, left = [], []
    for name in (each.name for each in fields(Config) if each.name not in _DERIVED):
        value = getattr(new, name)
        if _plain(value) != _plain(getattr(old, name)):
            label = labels.get(name, name.replace("_", "-"))
            if name in live:
                changes[name] = value
                taken.append(label)
            else:
                left.append(label)
    alerts = _plan_alerts(old.alerts, new.alerts, taken=taken, left=left)
    return ReloadPlan(replace(old, **changes, alerts=alerts), tuple(taken), tuple(left))


def _plan_alerts(old: AlertSettings, new: AlertSettings, *, taken: list[str], left: list[str]) -> AlertSettings:
    """Return the settings of alerts with what can be taken, and add the names of what changes to the lists."""
    changes: dict[str, Any] = {}
    destinations = False
    for name in (each.name for each in fields(AlertSettings)):
        if getattr(new, name) == getattr(old, name):
            continue
        if name in LIVE_ALERTS:
            changes[name] = getattr(new, name)
            taken.append(LIVE_ALERTS[name])
        else:
            destinations = True
    if destinations:
        left.append("destinations of alerts and webhooks")
    return replace(old, **changes)


def _plain(value: Any) -> Any:
    """Return what tells two values apart: secrets are hashed with another salt each time they are read."""
    if isinstance(value, HashedSecret):
        return value.fingerprint
    return tuple(_plain(each) for each in value) if isinstance(value, tuple) else value


class Reloader:
    """Reads settings again. `config` is what is in force. `load` reads them (it blocks, and raises OperatorError),
    and `program` returns the program, None while it starts or another process takes over."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        load: Callable[[], Config],
        set_level: Callable[[str], None],
        program: Callable[[], Reloadable | None],
        main: MainProcess,
    ) -> None:
        self.config = config
        self._environment = environment
        self._load = load
        self._set_level = set_level
        self._program = program
        self._main = main
        self._reading = False

    def reload(self, name: str) -> None:
        """Read the settings because of the signal `name`."""
        if self._reading or self._program() is None:
            why = "the settings are being read" if self._reading else "the program is starting or stopping"
            _log.info("{name}: not reading the settings, since {why}", name=name, why=why)
            return
        self._reading = True
        self._main.reloading()
        reading = ensureDeferred(self._reload(name))
        reading.addErrback(lambda failure: _log.failure("internal error while reading the settings", failure))
        reading.addCallback(self._done)

    def _done(self, _: object) -> None:
        self._reading = False
        self._main.reloaded()

    async def _reload(self, name: str) -> None:
        try:
            new = await self._environment.run_in_thread(self._load_safely)
        except OperatorError as error:
            _log.error("{name}: the settings cannot be used, nothing is changed: {why}", name=name, why=str(error))
            return
        program = self._program()
        if program is None:
            return
        plan = plan_reload(self.config, new)
        if plan.config.debug != self.config.debug:
            self._set_level("debug" if plan.config.debug else "info")
        self.config = plan.config
        program.apply(plan.config)
        certificates = [f"the {whose} certificate" for whose in await program.reload_certificates()]
        taken = ", ".join([*plan.taken, *certificates])
        _log.info("{name}: settings read; changed: {taken}", name=name, taken=taken or "nothing")
        if plan.left:
            _log.warn(
                "{name}: changed settings that need a restart or `systemctl reload`: {left}",
                name=name,
                left=", ".join(plan.left),
            )

    def _load_safely(self) -> Config:
        """Load the settings. Raises OperatorError, also for what would end the program at its start."""
        try:
            return self._load()
        except SystemExit:
            raise OperatorError("the command line, or a file of flags in it, is wrong") from None
