"""Usernames and passwords of miners: `ADDRESS[.worker | _worker][+DIFF][/DIFF][+sSECONDS]`, `d=DIFF`.

An option that is no number is a part of the worker's name, as in legacy p2pool-dash: `ADDRESS/rig1`,
`ADDRESS.rig+abc`. A number that makes no sense is refused, and so is a sign with nothing after it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from p2pool.base.text import printable
from p2pool.dash.address import AddressError, payout_hash160
from p2pool.dash.address_problem import address_problem
from p2pool.networks.parameters import Network
from p2pool.stratum.errors import Code, Refusal
from p2pool.stratum.vardiff import clamp

_MAX_USERNAME = 256
_USERNAME = re.compile(r"(?P<address>[^._+/]*)(?:[._](?P<worker>[^+/]*))?(?P<options>(?:[+/][^+/]*)*)")
_OPTION = re.compile(r"(\+s|\+|/)([^+/]*)")
_MIN_RATE, _MAX_RATE = 1.0, 60.0
_MIN_SHARE_DIFFICULTY, _MAX_SHARE_DIFFICULTY = 2.0**-33, 2.0**224
"""What targets of 256 bits can express: a wish beyond it means the end of the range."""


@dataclass(frozen=True, slots=True)
class Username:
    """A username taken apart. `name` is `address.worker`, or the address alone; difficulties and the seconds per
    pseudoshare are None where not given."""

    name: str
    address: str
    key_hash: bytes
    fixed_difficulty: float | None
    share_difficulty: float | None
    share_rate: float | None

    @property
    def request(self) -> tuple[bytes, float | None]:
        """What its jobs are asked for: whom they pay, and the difficulty of shares."""
        return self.key_hash, self.share_difficulty


def positive_number(value: object) -> float | None:
    """A finite number above zero out of a number or its text, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and (len(value) > 40 or "_" in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_username(text: str, network: Network) -> Username:
    """Take a username apart. Raises Refusal(24) with a text that says what is wrong with the address, (20) for a
    malformed option."""
    if len(text) > _MAX_USERNAME:
        text = f"the username has {len(text)} characters: {_MAX_USERNAME} are allowed"
        raise Refusal(Code.UNAUTHORIZED, text)
    match = _USERNAME.fullmatch(text)
    if match is None:
        raise Refusal(Code.UNAUTHORIZED, f"username {text!r} is not ADDRESS.worker")
    address = match["address"].strip()
    try:
        key_hash = payout_hash160(address, network.parent.addresses, network.name)
    except AddressError:
        problem = address_problem(address, network.parent.addresses, network.name)
        raise Refusal(Code.UNAUTHORIZED, problem) from None
    options: dict[str, float] = {}
    worker = (match["worker"] or "").strip()
    for kind, value in _OPTION.findall(match["options"]):
        number = positive_number(value)
        if number is not None:
            options[kind] = number
        elif not value or _is_number(value):
            raise Refusal(Code.OTHER, f"{kind}{value} in the username is not a positive number")
        elif worker:
            worker += kind + value
        else:
            worker = (kind + value)[1:].strip()
    worker = printable(worker, 64)
    rate, share_difficulty = options.get("+s"), options.get("/")
    return Username(
        name=f"{address}.{worker}" if worker else address,
        address=address,
        key_hash=key_hash,
        fixed_difficulty=options.get("+"),
        share_difficulty=None
        if share_difficulty is None
        else clamp(share_difficulty, _MIN_SHARE_DIFFICULTY, _MAX_SHARE_DIFFICULTY),
        share_rate=None if rate is None else clamp(rate, _MIN_RATE, _MAX_RATE),
    )


def password_difficulty(password: object) -> float | None:
    """The starting difficulty of `d=DIFF`, alone or in a comma-separated list; None where there is none."""
    if not isinstance(password, str) or len(password) > _MAX_USERNAME:
        return None
    for part in password.split(","):
        key, _, value = part.strip().partition("=")
        if key == "d":
            return positive_number(value)
    return None
