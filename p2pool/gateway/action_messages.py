"""The formats of what concerns miners of the whole pool: operators' actions, bans, and connections by host."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from p2pool.gateway.messages import SCHEMA

MAX_HOSTS: Final = 10_000
"""Hosts whose connections one process publishes."""
MAX_TEXT: Final = 2_000
"""Characters of a text in an action; miners get fewer."""
KEPT_ACTIONS: Final = 1_000
"""Actions and bans that the broker keeps; none is older than those who read them let it be."""

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
UnixTime = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
BanTime = Annotated[float, msgspec.Meta(gt=0, le=1e10)]


class ShowMessage(msgspec.Struct, frozen=True, kw_only=True, tag="message"):
    """Show a text on miners' displays."""

    text: Text
    worker: Text | None = None


class Reconnect(msgspec.Struct, frozen=True, kw_only=True, tag="reconnect"):
    """Ask miners to reconnect; an empty host and port 0 are the present ones."""

    host: Text = ""
    port: Count = 0
    wait: Count = 0
    worker: Text | None = None


class VersionMask(msgspec.Struct, frozen=True, kw_only=True, tag="version-mask"):
    """Set the header version bits that miners may roll."""

    mask: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class MaskState(msgspec.Struct, frozen=True, kw_only=True):
    """The header version bits that miners may roll, for gateways that come later."""

    schema: int = SCHEMA
    mask: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Ban(msgspec.Struct, frozen=True, kw_only=True, tag="ban"):
    """Ban a host of miners for so many seconds; if that is `automatic`, because of what its miners did, a process
    where others of its miners work well answers with Limit."""

    host: Name
    seconds: BanTime
    reason: Name
    automatic: bool = False


class Limit(msgspec.Struct, frozen=True, kw_only=True, tag="limit"):
    """Limit the rate of a host's new connections for so many seconds instead of banning it: some of its miners
    work well at the process that says so."""

    host: Name
    seconds: BanTime


class Unban(msgspec.Struct, frozen=True, kw_only=True, tag="unban"):
    """Lift the ban of a host of miners."""

    host: Name


SharedAction = ShowMessage | Reconnect | VersionMask | Ban | Limit | Unban


class ActionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An action for all processes that have miners. `origin` has carried it out already."""

    schema: int = SCHEMA
    id: Id
    origin: Name
    action: SharedAction


class ActionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway did because of an action: how many of its connections were reached."""

    schema: int = SCHEMA
    id: Id
    gateway: Name
    connections: Count


class BanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A ban as a row of the broker's table, for processes that come later. Times are the broker's."""

    schema: int = SCHEMA
    since: UnixTime
    until: UnixTime
    reason: Name
    source: Name
    automatic: bool = False
    lifted: bool = False
    """Whether the ban was lifted, at `since`. The row stays for those who have the ban and were away."""


class HostCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections hosts have at one process."""

    schema: int = SCHEMA
    name: Name
    is_gateway: bool
    hosts: Annotated[dict[Name, Count], msgspec.Meta(max_length=MAX_HOSTS)]
