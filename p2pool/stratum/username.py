"""Usernames and passwords of miners: `ADDRESS[.worker | _worker][+DIFF][/DIFF][+sSECONDS]`; `d=DIFF` and
`alerts=SECRET`, separated by commas.

An option that is not a number is part of the worker's name, as in legacy p2pool-dash: `ADDRESS/rig1`,
`ADDRESS.rig+abc`. A number that is not positive is rejected, and so is a sign with nothing after it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from p2pool.base.text import printable
from p2pool.dash.address import AddressError, payout_hash160
from p2pool.dash.address_problem import address_problem
from p2pool.networks.parameters import Network
from p2pool.stratum.errors import ErrorCode, StratumError
from p2pool.stratum.vardiff import clamp

_MAX_USERNAME = 256
MIN_SECRET = 12
"""Characters of a secret for alerts."""
_USERNAME = re.compile(r"(?P<address>[^._+/]*)(?:[._](?P<worker>[^+/]*))?(?P<options>(?:[+/][^+/]*)*)")
_OPTION = re.compile(r"(\+s|\+|/)([^+/]*)")
_NUMBERS = (int, float, str)
"""Types of numbers in requests; a union would be made anew for each check."""
_MIN_RATE, _MAX_RATE = 1.0, 60.0
_MIN_SHARE_DIFFICULTY, _MAX_SHARE_DIFFICULTY = 2.0**-33, 2.0**224
"""The range that targets of 256 bits can express; requests beyond it are clamped to it."""


@lru_cache(maxsize=16384)
def _job_request(key_hash: bytes, share_difficulty: float | None) -> tuple[bytes, float | None]:
    """Return one and the same object for all workers with the same request: each of their jobs refers to it."""
    return key_hash, share_difficulty


@dataclass(frozen=True, slots=True)
class Username:
    """A parsed username. `name` is `address.worker`, or the address alone; difficulties and the seconds per
    pseudoshare are None if they are not given."""

    name: str
    address: str
    key_hash: bytes
    fixed_difficulty: float | None
    share_difficulty: float | None
    share_rate: float | None

    @property
    def job_request(self) -> tuple[bytes, float | None]:
        """Return what its jobs must be: the payee, and the requested difficulty of shares."""
        return _job_request(self.key_hash, self.share_difficulty)


def positive_number(value: object) -> float | None:
    """Return a finite number above zero, given as a number or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
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
    """Parse a username. Raises StratumError(24) with a text that says what is wrong with the address, and
    StratumError(20) for a malformed option."""
    if len(text) > _MAX_USERNAME:
        text = f"the username has {len(text)} characters; at most {_MAX_USERNAME} are allowed"
        raise StratumError(ErrorCode.UNAUTHORIZED, text)
    match = _USERNAME.fullmatch(text)
    if match is None:
        raise StratumError(ErrorCode.UNAUTHORIZED, f"username {text!r} is not of the form ADDRESS.worker")
    address = match["address"].strip()
    try:
        key_hash = payout_hash160(address, network.parent.addresses, network.name)
    except AddressError:
        problem = address_problem(address, network.parent.addresses, network.name)
        raise StratumError(ErrorCode.UNAUTHORIZED, problem) from None
    options: dict[str, float] = {}
    worker = (match["worker"] or "").strip()
    for kind, value in _OPTION.findall(match["options"]):
        number = positive_number(value)
        if number is not None:
            options[kind] = number
        elif not value or _is_number(value):
            raise StratumError(ErrorCode.OTHER, f"{kind}{value} in the username is not a positive number")
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
    """Return the starting difficulty of `d=DIFF`, alone or in a comma-separated list; None if there is none."""
    return positive_number(_password_option(password, "d"))


def password_secret(password: object) -> bytes | None:
    """Return the hash of the secret of `alerts=SECRET` in a password; None if there is none, or a short one."""
    secret = _password_option(password, "alerts")
    return None if secret is None else secret_hash(secret)


def secret_hash(secret: str) -> bytes | None:
    """Return what is kept of a miner's secret, 32 bytes; None if it has too few characters to be one."""
    secret = secret.strip()
    if len(secret) < MIN_SECRET:
        return None
    return sha256(b"p2pool alerts " + secret.encode("utf-8", "surrogatepass")).digest()


def _password_option(password: object, name: str) -> str | None:
    """Return the value of the first NAME=VALUE in a comma-separated list."""
    if not isinstance(password, str) or len(password) > _MAX_USERNAME:
        return None
    for part in password.split(","):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None
