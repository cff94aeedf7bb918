"""Where the user and password for Dash Core's RPC come from: arguments, dash.conf, or the .cookie file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from p2pool.base.errors import OperatorError
from p2pool.networks.parameters import ParentChain

_MAX_FILE = 1024 * 1024
_NETWORK_ONLY = frozenset({"bind", "port", "rpcbind", "rpcport"})
"""Settings that Dash Core takes for a test network only from that network's own section."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """`origin` says, for people, where they came from ("from ...")."""

    user: str
    password: str = field(repr=False)
    origin: str


class CredentialSource(Protocol):
    """Something that knows the credentials; read anew when they were refused."""

    def read(self) -> Credentials:
        """Raises OperatorError where there are none."""


@dataclass(frozen=True, slots=True)
class FixedCredentials:
    """Given ones."""

    credentials: Credentials

    def read(self) -> Credentials:
        """See CredentialSource."""
        return self.credentials


@dataclass(frozen=True, slots=True)
class CookieFile:
    """`__cookie__:hex`, written by dashd at each start."""

    path: Path
    configuration: Path

    def read(self) -> Credentials:
        """See CredentialSource."""
        try:
            text = self.path.read_text("utf-8", errors="replace")[:_MAX_FILE].strip()
        except OSError as error:
            raise OperatorError(
                f"no RPC password: none given, none in {self.configuration}, and the cookie file {self.path} "
                f"cannot be read ({error.strerror}). Is dashd running as a user whose files this one may read? "
                "Else give RPCUSER RPCPASS."
            ) from None
        user, separator, password = text.partition(":")
        if not separator:
            raise OperatorError(f"the cookie file {self.path} does not hold user:password")
        return Credentials(user, password, f"from the cookie file {self.path}")


@dataclass(frozen=True, slots=True)
class DashConf:
    """The settings of a dash.conf that hold for one chain."""

    path: Path
    settings: dict[str, str]

    def port(self, name: str) -> int | None:
        """A port, None where it is not set or not a port."""
        text = self.settings.get(name, "")
        return int(text) if text.isdigit() and 0 < int(text) < 65536 else None


def read_dash_conf(path: Path, parent: ParentChain, required: bool) -> DashConf:
    """The file's settings for a chain: its own section's win over the common ones, the first of several counts
    (as in Dash Core). A missing file is empty unless `required`. Raises OperatorError."""
    try:
        text = path.read_text("utf-8", errors="replace")[:_MAX_FILE]
    except FileNotFoundError:
        if required:
            raise OperatorError(f"--dashd-config-path: there is no file {path}") from None
        return DashConf(path, {})
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}") from None
    common: dict[str, str] = {}
    own: dict[str, str] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if "rpcpassword" not in line.partition("=")[0]:  # a password may hold a '#'
            line = line.partition("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            key = key.strip()
            prefix, _, rest = key.partition(".")
            if rest and prefix == parent.conf_section:
                own.setdefault(rest, value.strip())
            elif section == parent.conf_section:
                own.setdefault(key, value.strip())
            elif not section and (key not in _NETWORK_ONLY or parent.conf_section == "main"):
                common.setdefault(key, value.strip())
    return DashConf(path, common | own)


def credential_source(arguments: Sequence[str], conf: DashConf, parent: ParentChain) -> CredentialSource:
    """Arguments win over dash.conf, that over the cookie. `arguments`: [], [password] or [user, password]."""
    if arguments:
        user = arguments[0] if len(arguments) == 2 else ""
        return FixedCredentials(Credentials(user, arguments[-1], "given on the command line"))
    settings = conf.settings
    if settings.get("rpcpassword"):
        credentials = Credentials(settings.get("rpcuser", ""), settings["rpcpassword"], f"from {conf.path}")
        return FixedCredentials(credentials)
    directory = Path(settings.get("datadir", str(conf.path.parent))).expanduser()
    cookie = Path(settings.get("rpccookiefile", ".cookie"))
    return CookieFile(directory / parent.conf_subdirectory / cookie, conf.path)
