"""The methods that miners may call: one function for each method, and the tables that list them.

Each function takes the session, the list of parameters and the time, and returns the result or raises
StratumError. `dispatch` calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from p2pool.base.text import printable
from p2pool.stratum.errors import ErrorCode, StratumError
from p2pool.stratum.miner_state import EXTRANONCE2_SIZE
from p2pool.stratum.session import Session
from p2pool.stratum.username import (
    Username,
    parse_username,
    password_difficulty,
    password_secret,
    positive_number,
)

MAX_WORKERS_PER_CONNECTION = 256
_MAX_EXTENSIONS = 16
_MAX_INFO = 64


class Extension(NamedTuple):
    """An extension that a miner requests with mining.configure: its options, and the result to add values to."""

    options: dict[str, Any]
    result: dict[str, Any]
    now: float


def configure(session: Session, params: list[Any], now: float) -> dict[str, Any]:
    """Answer mining.configure (BIP 310): the result says for each requested extension whether it is supported."""
    codes = params[0] if params and isinstance(params[0], list) else []
    options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
    result: dict[str, Any] = {}
    request = Extension(options, result, now)
    for code in dict.fromkeys(code for code in codes[:_MAX_EXTENSIONS] if isinstance(code, str)):
        if code not in result:
            negotiate = EXTENSIONS.get(code)
            result[printable(code)] = False if negotiate is None else negotiate(session, request)
    return result


def _version_rolling(session: Session, request: Extension) -> bool:
    session.negotiate_mask(_mask(request.options.get("version-rolling.mask", "ffffffff")), request.now)
    request.result["version-rolling.mask"] = f"{session.version_mask:08x}"
    return True


def _minimum_difficulty(session: Session, request: Extension) -> bool:
    given = request.options.get("minimum-difficulty.value")
    minimum = positive_number(given)
    if minimum is None and (given != 0 or isinstance(given, bool)):
        return False
    session.vardiff.set_minimum(max(minimum or 0.0, session.context.settings.min_difficulty))
    session.change_due = True  # what the job limits depends on the minimum as well
    return True


def _subscribe_extranonce(session: Session, request: Extension) -> bool:
    session.state.extranonce_changes = True
    return True


def _info(session: Session, request: Extension) -> bool:
    for key in ("info.sw-version", "info.hw-version", "info.hw-id", "info.connection-url"):
        value = request.options.get(key)
        if isinstance(value, str):
            session.learn_software(value[:_MAX_INFO])
    return True


EXTENSIONS: dict[str, Callable[[Session, Extension], bool]] = {
    "version-rolling": _version_rolling,
    "minimum-difficulty": _minimum_difficulty,
    "subscribe-extranonce": _subscribe_extranonce,
    "info": _info,
}


def subscribe(session: Session, params: list[Any], now: float) -> list[Any]:
    """Answer mining.subscribe with session id, extranonce1 and the size of extranonce2. A known session is
    resumed."""
    if params and isinstance(params[0], str):
        session.software.subscribed_as(params[0])
    resumed_id = params[1] if len(params) > 1 else None
    if isinstance(resumed_id, str):
        session.resume(resumed_id, now)
    session.subscribe()
    session_id = session.state.session_id
    subscriptions = [["mining.set_difficulty", session_id], ["mining.notify", session_id]]
    return [subscriptions, session.extranonce1.hex(), EXTRANONCE2_SIZE]


def authorize(session: Session, params: list[Any], now: float) -> bool:
    """Answer mining.authorize. Several workers may share a connection if they have the same payout address."""
    if not params or not isinstance(params[0], str):
        raise StratumError(ErrorCode.UNAUTHORIZED, "no username: set a Dash address as the username")
    username = parse_username(params[0], session.context.settings.network)
    payee = session.payee
    if payee is not None and username.key_hash != payee.key_hash:
        text = f"this connection mines to {payee.address}; use another connection for {username.address}"
        raise StratumError(ErrorCode.UNAUTHORIZED, text, is_offence=False)
    if params[0] not in session.workers:
        if len(session.workers) >= MAX_WORKERS_PER_CONNECTION:
            text = f"more than {MAX_WORKERS_PER_CONNECTION} workers on one connection; use another connection"
            raise StratumError(ErrorCode.UNAUTHORIZED, text, is_offence=False)
        if payee is None:
            _apply_options(session, username, params[1] if len(params) > 1 else None)
        session.add_worker(params[0], username, now)
    return True


def _apply_options(session: Session, username: Username, password: Any) -> None:
    """Apply the options of the first worker to the connection. A resumed session takes no starting difficulty."""
    session.alert_secret = password_secret(password)
    start = password_difficulty(password)
    if start is not None and not session.resumed:
        session.vardiff.set(start)
    if username.fixed_difficulty is not None:
        session.vardiff.set(username.fixed_difficulty, fixed=True)
    elif session.resumed and session.vardiff.fixed:
        session.vardiff.set(session.vardiff.difficulty)  # it was fixed under another username
    if username.share_rate is not None:
        session.state.share_rate = username.share_rate
        session.update_interval()


def suggest_difficulty(session: Session, params: list[Any], now: float) -> bool:
    """Answer mining.suggest_difficulty: the difficulty starts over from it, at any time."""
    difficulty = positive_number(params[0]) if params else None
    if difficulty is None:
        raise StratumError(ErrorCode.OTHER, "suggest_difficulty takes a positive number")
    return _suggest(session, difficulty)


def suggest_target(session: Session, params: list[Any], now: float) -> bool:
    """Answer mining.suggest_target: a suggested difficulty, given as the 64 hex digits of a target."""
    text = params[0] if params else None
    if not isinstance(text, str) or len(text) != 64 or not (target := _hex_number(text)):
        raise StratumError(ErrorCode.OTHER, "suggest_target takes 64 hex digits")
    return _suggest(session, (0xFFFF << 208) / target)


def _suggest(session: Session, difficulty: float) -> bool:
    if not session.vardiff.fixed:
        session.vardiff.set(difficulty)
        session.change_due = True
    return True


def extranonce_subscribe(session: Session, params: list[Any], now: float) -> bool:
    """Answer mining.extranonce.subscribe: the miner accepts mining.set_extranonce."""
    session.state.extranonce_changes = True
    return True


def set_version_mask(session: Session, params: list[Any], now: float) -> bool:
    """Answer mining.set_version_mask from a miner: it requests a mask, and is sent the one that it gets."""
    text = params[0] if params else None
    requested = _hex_number(text) if isinstance(text, str) and len(text) == 8 else None
    if requested is None:
        raise StratumError(ErrorCode.OTHER, "set_version_mask takes 8 hex digits")
    session.negotiate_mask(requested, now)
    session.mask_due = True
    return True


def ping(session: Session, params: list[Any], now: float) -> str:
    """Answer mining.ping. A miner that sends it may be pinged as well."""
    session.state.knows_ping = True
    return "pong"


def _hex_number(text: Any) -> int | None:
    """Return the number that a hex text stands for; None for anything else."""
    if not isinstance(text, str) or not 0 < len(text) <= 64:
        return None
    try:
        return int.from_bytes(bytes.fromhex(text.zfill(len(text) + len(text) % 2)), "big")
    except ValueError:
        return None


def _mask(text: Any) -> int:
    """Return the version mask in hex digits; anything else counts as the widest mask."""
    number = _hex_number(text)
    return 0xFFFFFFFF if number is None else number & 0xFFFFFFFF


METHODS: dict[str, Callable[[Session, list[Any], float], Any]] = {
    "mining.configure": configure,
    "mining.subscribe": subscribe,
    "mining.authorize": authorize,
    "mining.submit": Session.submit,
    "mining.suggest_difficulty": suggest_difficulty,
    "mining.suggest_target": suggest_target,
    "mining.extranonce.subscribe": extranonce_subscribe,
    "mining.set_version_mask": set_version_mask,
    "mining.ping": ping,
}
NEEDS_SUBSCRIBE = frozenset({"mining.submit"})
"""The methods that need a subscription. Miners call the others in any order: some authorize before they
subscribe."""
