"""Where the user and password for Dash Core's RPC come from: arguments, dash.conf, or the .cookie file."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from p2pool.base.errors import OperatorError
from p2pool.networks.parameters import ParentChain

_MAX_FILE = 1024 * 1024
_BLANK = " \t\r\n"
"""The characters that Dash Core trims around names and values."""
_NETWORK_ONLY = frozenset({"bind", "port", "rpcbind", "rpcport"})
"""Settings that Dash Core takes for a test network only from that network's own section."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password. `origin` says, for people, where they came from ("from ...")."""

    user: str
    password: str = field(repr=False)
    origin: str


class CredentialSource(Protocol):
    """A source of credentials, which is read again when they were refused."""

    def read(self) -> Credentials:
        """Return the credentials. Raises OperatorError if there are none."""


@dataclass(frozen=True, slots=True)
class FixedCredentials(CredentialSource):
    """Credentials that the operator gave."""

    credentials: Credentials

    @override
    def read(self) -> Credentials:
        return self.credentials


@dataclass(frozen=True, slots=True)
class CookieFile(CredentialSource):
    """The .cookie file, `__cookie__:hex`, which dashd writes at each start."""

    path: Path
    configuration: Path | None = None
    """The dash.conf that was read before; None if the cookie's path was given."""

    @override
    def read(self) -> Credentials:
        try:
            text = _read_text(self.path).strip()
        except OSError as error:
            before, give = "", "http://USER:PASSWORD@..."
            if self.configuration is not None:
                before, give = f"none given, none in {self.configuration}, and ", "RPCUSER RPCPASS"
            raise OperatorError(
                f"no RPC password: {before}the cookie file {self.path} cannot be read ({error.strerror}). "
                f"Check that dashd is running and that this user may read its files, or give {give}."
            ) from None
        user, separator, password = text.partition(":")
        if not separator:
            raise OperatorError(f"the cookie file {self.path} does not contain user:password")
        return Credentials(user, password, f"from the cookie file {self.path}")


@dataclass(frozen=True, slots=True)
class DashConf:
    """The settings of a dash.conf that hold for one chain."""

    path: Path
    settings: dict[str, str]

    def port(self, name: str) -> int | None:
        """Return a port; None if it is not set or not a port."""
        text = self.settings.get(name, "")
        usable = text.isascii() and text.isdigit() and len(text) <= 5  # "²" is a digit but not a number
        return int(text) if usable and 0 < int(text) < 65536 else None


def _read_text(path: Path) -> str:
    """Return at most _MAX_FILE bytes of a file; what is not UTF-8 is kept as surrogates, so that a password in
    another encoding is sent as the bytes that it is. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE).decode("utf-8-sig", "surrogateescape")
    except ValueError:  # dash.conf may name any path
        raise OSError(errno.EINVAL, "a path cannot have a NUL character in it") from None


def read_dash_conf(path: Path, parent: ParentChain, required: bool) -> DashConf:
    """Return the file's settings for a chain: its own section's win over the common ones, the first of several
    counts (as in Dash Core). A missing file is empty unless `required`. Raises OperatorError."""
    try:
        text = _read_text(path)
    except FileNotFoundError:
        if required:
            raise OperatorError(f"--dashd-config-path: there is no file {path}") from None
        return DashConf(path, {})
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}") from None
    common: dict[str, str] = {}
    own: dict[str, str] = {}
    section = ""
    for raw in text.split("\n"):
        line = raw.strip(_BLANK)
        if line.partition("=")[0].strip(_BLANK).rpartition(".")[2] != "rpcpassword":  # a password may hold a '#'
            line = line.partition("#")[0].strip(_BLANK)
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip(_BLANK)
        elif "=" in line:
            key, value = (part.strip(_BLANK) for part in line.split("=", 1))
            prefix, _, rest = key.partition(".")
            if section == parent.conf_section:
                own.setdefault(key, value)
            elif not section and rest and prefix == parent.conf_section:
                own.setdefault(rest, value)
            elif not section and (key not in _NETWORK_ONLY or parent.conf_section == "main"):
                common.setdefault(key, value)
    return DashConf(path, common | own)


def credential_source(arguments: Sequence[str], conf: DashConf, parent: ParentChain) -> CredentialSource:
    """Return the source of credentials: arguments win over dash.conf, and that over the cookie. `arguments`: [],
    [password] or [user, password]."""
    if arguments:
        user = arguments[0] if len(arguments) == 2 else ""
        return FixedCredentials(Credentials(user, arguments[-1], "given on the command line"))
    settings = conf.settings
    if settings.get("rpcpassword"):
        credentials = Credentials(settings.get("rpcuser", ""), settings["rpcpassword"], f"from {conf.path}")
        return FixedCredentials(credentials)
    # os.path's form leaves a "~name" that there is not as it is; Path's raises RuntimeError
    directory = Path(os.path.expanduser(settings.get("datadir") or conf.path.parent))
    cookie = Path(settings.get("rpccookiefile") or ".cookie")
    return CookieFile(directory / parent.conf_subdirectory / cookie, conf.path)
