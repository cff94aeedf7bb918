"""Declare each setting once: each topic has a frozen dataclass, and the metadata of its fields describes the
topic's settings completely. Used by the settings modules of the packages and by `p2pool.app`.

    @dataclass(frozen=True, kw_only=True)
    class StratumSettings:
        share_rate: float = setting(
            10.0, short="-s", metavar="SECONDS", limits=(0.1, 3600), unit="seconds", shown=Shown.VALUE,
            help="adjust each connection's difficulty to one submission in this time",
        )

The flag (`--share-rate`), the key in a settings file (`share-rate`), the variable of the environment
(`P2POOL_SHARE_RATE`), the type, the range check, the default and
its mention in `--help`, the entry in /api/v1/config and the row in docs/settings.md all follow from that. The data
on the way from the operator's words to the value:

    Setting                        what a field declares, with the field's name and default (`settings_of`)
    Given(source, text)            one value as it was written; `source` says where, for error messages
    dict[key, tuple[Given, ...]]   what was written for each flag: the command line before the environment, that
                                   before the settings file; for secrets also a file of their own
    Setting.parse(...)             the value of the field, checked; OperatorError says what to write instead

The dataclasses have no slots, so that `StratumSettings.share_rate` is the default, for whoever needs it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import Enum
from typing import Any

from p2pool.base.errors import OperatorError
from p2pool.base.text import printable, without_login

_METADATA = "setting"
_METADATA_SHOWN = "shown"


class Shown(Enum):
    """How much of a setting is public, at /api/v1/config and on the node's page."""

    VALUE = "value"
    """The value itself."""
    COMPOSED = "composed"
    """The value in another form, for example without credentials."""
    PRESENCE = "presence"
    """Only whether it is set: for secrets, and for paths, which reveal the machine's layout."""
    NEVER = "never"
    """Nothing: it follows from another setting, or matters only at the start."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value as the operator wrote it. `source` names, in error messages, what gave it: a flag, with the settings
    file before it if it comes from there, or a variable of the environment."""

    source: str
    text: str = field(repr=False)
    is_secret: bool = False
    """Whether no error may repeat the text; `Setting.parse` sets it."""

    def refused(self, reason: str, shown: str | None = None) -> OperatorError:
        """Return the error for this value; `reason` says what is wrong and what to write instead. The error
        repeats `shown`, by default the text without a password; for a secret, it repeats nothing."""
        if self.is_secret:
            return OperatorError(f"{self.source}: {reason}")
        value = printable(without_login(self.text), 200) if shown is None else shown
        return OperatorError(f"{self.source} {value}: {reason}")


Reader = Callable[[Given], Any]
"""Makes a value of what was written. Raises OperatorError."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The other sources of a setting that is, or contains, a secret: besides its flag, it can be read from the
    file that `--FLAG-file` names (a list: one per line, # begins a comment) and from the environment variable
    `variable` (a list: separated by white space, with `commas` also by commas)."""

    variable: str
    commas: bool = False
    only_with: str = ""
    """The variable counts only if the setting of this key is given as well."""
    may_be_empty: bool = False
    """Whether the file may have no value in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything about one setting. `name` is the field's, `flag` the long flag; `metavar` stands for the value in
    help, "" for a switch; `read` makes the value of one text, `collect` a collection of the values of a flag that
    may be repeated, and `parse_all` takes the place of both. `default_text` describes the default if it cannot be
    read off `default`."""

    help: str
    shown: Shown
    name: str = ""
    flag: str = ""
    short: str = ""
    metavar: str = ""
    default: Any = None
    default_text: str = ""
    read: Reader | None = None
    collect: Callable[[Iterable[Any]], Any] | None = None
    parse_all: Callable[[Sequence[Given]], Any] | None = None
    limits: tuple[float, float] | None = None
    unit: str = ""
    most: int | None = None
    """How often the flag may be repeated."""
    secret: Secret | None = None
    in_file: bool = True
    """Whether a settings file may have it."""

    @property
    def key(self) -> str:
        """Return the name in a settings file, with underscores."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def label(self) -> str:
        """Return the name in error messages."""
        return f"{self.short}/{self.flag}" if self.short else self.flag

    @property
    def is_switch(self) -> bool:
        """Return whether the flag takes no value."""
        return not self.metavar

    @property
    def is_list(self) -> bool:
        """Return whether the flag may be repeated."""
        return self.collect is not None or self.parse_all is not None

    @property
    def file_flag(self) -> str:
        """Return the flag that names a file with the secret; "" if it is none."""
        return f"{self.flag}-file" if self.secret is not None else ""

    @property
    def file_key(self) -> str:
        """Return the name of `file_flag` in a settings file; "" if there is none."""
        return f"{self.key}_file" if self.secret is not None else ""

    def described_default(self) -> str:
        """Return the default for help and documents; "" if there is nothing to say."""
        if self.default_text or self.default is None or isinstance(self.default, bool | tuple | frozenset):
            return self.default_text
        return format_number(self.default) if isinstance(self.default, int | float) else str(self.default)

    def described_limits(self) -> str:
        """Return the range of the value with its unit; "" if it has none."""
        if self.limits is None:
            return ""
        low, high = self.limits
        return f"{format_number(low)} and {format_number(high)}{self.unit and ' '}{self.unit}"

    def parse(self, given: Sequence[Given]) -> Any:
        """Return the value of what was written, of which there is at least one. Raises OperatorError, which does
        not repeat a secret."""
        if self.secret is not None:
            given = [replace(each, is_secret=True) for each in given]
        if self.most is not None and len(given) > self.most:
            raise OperatorError(f"{self.flag} is given {len(given)} times; at most {self.most} can be used")
        if self.parse_all is not None:
            return self.parse_all(given)
        if self.is_switch:
            return True
        if self.collect is None:
            return self._read(given[-1])
        return self.collect([self._read(each) for each in given])

    def _read(self, given: Given) -> Any:
        value: Any = given.text if self.read is None else self.read(given)
        if self.limits is not None and not self.limits[0] <= value <= self.limits[1]:
            raise given.refused(f"must be between {self.described_limits()}", shown=format_number(value))
        return value


def format_number(value: float) -> str:
    """Return a number in full, without digits that only binary fractions have."""
    return f"{value:.15g}"


def read_integer(given: Given) -> int:
    """Return a whole number. Raises OperatorError."""
    try:
        return int(given.text)
    except ValueError:
        raise given.refused("this is not a whole number") from None


def read_number(given: Given) -> float:
    """Return a number, which may have a fraction. Raises OperatorError."""
    try:
        return float(given.text)
    except ValueError:
        raise given.refused("this is not a number") from None


_READERS: dict[type, Reader] = {int: read_integer, float: read_number}


def setting(default: Any, *, help: str, shown: Shown, metavar: str, **more: Any) -> Any:
    """Return a dataclass field that declares a setting; `more` are fields of `Setting`. The default says how the
    value is read if it is a number and no `read` is given. Raises ValueError for a secret whose value would be
    public."""
    more.setdefault("read", _READERS.get(type(default)))
    declared = Setting(help=help, shown=shown, metavar=metavar, **more)
    if declared.secret is not None and shown is Shown.VALUE:
        raise ValueError(f"{declared.secret.variable} is a secret and cannot be shown: use another `Shown`")
    return field(default=default, repr=declared.secret is None, metadata={_METADATA: declared})


def switch(*, help: str, shown: Shown = Shown.VALUE, **more: Any) -> Any:
    """Return a dataclass field that declares a flag without a value: False unless it is given."""
    return field(default=False, metadata={_METADATA: Setting(help=help, shown=shown, **more)})


def derived(default: Any = MISSING, *, shown: Shown, **more: Any) -> Any:
    """Return a dataclass field that is not a setting but follows from one; `more` are arguments of
    `dataclasses.field`. Without a default it must be given."""
    return field(default=default, metadata={_METADATA_SHOWN: shown}, **more)


def settings_of(settings_class: type) -> tuple[Setting, ...]:
    """Return what a dataclass declares, in its order, complete with names and defaults. Fields of its base classes
    are among them."""
    return tuple(
        replace(
            declared,
            name=each.name,
            flag=declared.flag or "--" + each.name.replace("_", "-"),
            default=each.default,
        )
        for each in fields(settings_class)
        if (declared := each.metadata.get(_METADATA)) is not None
    )


def shown_of(settings_class: type) -> dict[str, Shown]:
    """Return how much of each field of a dataclass is public. Raises KeyError for a field that does not declare
    it: one that is neither a `setting` nor `derived`."""
    return {
        each.name: each.metadata[_METADATA].shown if _METADATA in each.metadata else each.metadata[_METADATA_SHOWN]
        for each in fields(settings_class)
    }
