"""What a miner may ask: one function a method, and the tables that say which there are and in which order.

Each takes the session, the list of parameters and the time, and gives the result or raises Refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from p2pool.base.text import printable
from p2pool.stratum.errors import Code, Refusal
from p2pool.stratum.sessions import EXTRANONCE2_SIZE
from p2pool.stratum.username import Username, parse_username, password_difficulty, positive_number

if TYPE_CHECKING:
    from p2pool.stratum.session import Session

MAX_WORKERS_PER_CONNECTION = 256
_MAX_EXTENSIONS = 16
_MAX_INFO = 64


def configure(session: Session, params: list[Any], now: float) -> dict[str, Any]:
    """mining.configure (BIP 310): every requested code gets an answer."""
    codes = params[0] if params and isinstance(params[0], list) else []
    options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
    result: dict[str, Any] = {}
    for code in dict.fromkeys(code for code in codes[:_MAX_EXTENSIONS] if isinstance(code, str)):
        if code not in result:
            extension = EXTENSIONS.get(code)
            result[printable(code)] = False if extension is None else extension(session, options, result, now)
    return result


def _version_rolling(session: Session, options: dict[str, Any], result: dict[str, Any], now: float) -> bool:
    session.negotiate_mask(_mask(options.get("version-rolling.mask", "ffffffff")), now)
    result["version-rolling.mask"] = f"{session.version_mask:08x}"
    return True


def _minimum_difficulty(session: Session, options: dict[str, Any], result: dict[str, Any], now: float) -> bool:
    given = options.get("minimum-difficulty.value")
    minimum = positive_number(given)
    if minimum is None and (given != 0 or isinstance(given, bool)):
        return False
    before = session.vardiff.difficulty
    session.vardiff.set_minimum(max(minimum or 0.0, session.house.settings.min_difficulty))
    if session.vardiff.difficulty != before:
        session.change_due = True
    return True


def _subscribe_extranonce(session: Session, options: dict[str, Any], result: dict[str, Any], now: float) -> bool:
    session.state.extranonce_changes = True
    return True


def _info(session: Session, options: dict[str, Any], result: dict[str, Any], now: float) -> bool:
    for key in ("info.sw-version", "info.hw-version", "info.hw-id", "info.connection-url"):
        value = options.get(key)
        if isinstance(value, str):
            session.learn_software(value[:_MAX_INFO])
    return True


EXTENSIONS: dict[str, Callable[[Session, dict[str, Any], dict[str, Any], float], bool]] = {
    "version-rolling": _version_rolling,
    "minimum-difficulty": _minimum_difficulty,
    "subscribe-extranonce": _subscribe_extranonce,
    "info": _info,
}


def subscribe(session: Session, params: list[Any], now: float) -> list[Any]:
    """mining.subscribe: session id, extranonce1 and the size of extranonce2; a known session is resumed."""
    if params and isinstance(params[0], str):
        session.software.subscribed_as(params[0])
    asked = params[1] if len(params) > 1 else None
    if isinstance(asked, str):
        session.resume(asked, now)
    session.subscribed = session.restart_due = True
    session.feed.subscribed(session.extranonce1)
    session_id = session.state.session_id
    subscriptions = [["mining.set_difficulty", session_id], ["mining.notify", session_id]]
    return [subscriptions, session.extranonce1.hex(), EXTRANONCE2_SIZE]


def authorize(session: Session, params: list[Any], now: float) -> bool:
    """mining.authorize: several workers may share a connection, but only of one payout address."""
    if not params or not isinstance(params[0], str):
        raise Refusal(Code.UNAUTHORIZED, "no username: set a Dash address as the username")
    username = parse_username(params[0], session.house.settings.network)
    payee = session.payee
    if payee is not None and username.key_hash != payee.key_hash:
        text = f"this connection mines to {payee.address}; use another connection for {username.address}"
        raise Refusal(Code.UNAUTHORIZED, text, is_offence=False)
    if params[0] not in session.workers:
        if len(session.workers) >= MAX_WORKERS_PER_CONNECTION:
            text = f"more than {MAX_WORKERS_PER_CONNECTION} workers on one connection; use another connection"
            raise Refusal(Code.UNAUTHORIZED, text, is_offence=False)
        if payee is None:
            _apply_options(session, username, params[1] if len(params) > 1 else None)
        session.add_worker(params[0], username, now)
    return True


def _apply_options(session: Session, username: Username, password: Any) -> None:
    """The wishes of the first worker are those of the connection. A starting difficulty is not for one that goes
    on where it was."""
    start = password_difficulty(password)
    if start is not None and not session.resumed:
        session.vardiff.set(start)
    if username.fixed_difficulty is not None:
        session.vardiff.set(username.fixed_difficulty, fixed=True)
    elif session.resumed and session.vardiff.fixed:
        session.vardiff.set(session.vardiff.difficulty)  # it was fixed under another username
    if username.share_rate is not None:
        session.state.share_rate = username.share_rate
        session.share_pace()


def submit(session: Session, params: list[Any], now: float) -> bool:
    """mining.submit."""
    return session.submit(params, now)


def suggest_difficulty(session: Session, params: list[Any], now: float) -> bool:
    """mining.suggest_difficulty: a start, at any time."""
    difficulty = positive_number(params[0]) if params else None
    if difficulty is None:
        raise Refusal(Code.OTHER, "suggest_difficulty takes a positive number")
    return _suggest(session, difficulty)


def suggest_target(session: Session, params: list[Any], now: float) -> bool:
    """mining.suggest_target: the same as 64 hex digits of a target."""
    text = params[0] if params else None
    if not isinstance(text, str) or len(text) != 64 or not (target := _hex_number(text)):
        raise Refusal(Code.OTHER, "suggest_target takes 64 hex digits")
    return _suggest(session, (0xFFFF << 208) / target)


def _suggest(session: Session, difficulty: float) -> bool:
    if not session.vardiff.fixed:
        session.vardiff.set(difficulty)
        session.change_due = True
    return True


def extranonce_subscribe(session: Session, params: list[Any], now: float) -> bool:
    """mining.extranonce.subscribe: may be told of another extranonce1."""
    session.state.extranonce_changes = True
    return True


def set_version_mask(session: Session, params: list[Any], now: float) -> bool:
    """mining.set_version_mask from a miner: it asks for a mask, and is told which it has."""
    text = params[0] if params else None
    asked = _hex_number(text) if isinstance(text, str) and len(text) == 8 else None
    if asked is None:
        raise Refusal(Code.OTHER, "set_version_mask takes 8 hex digits")
    session.negotiate_mask(asked, now)
    session.mask_due = True
    return True


def ping(session: Session, params: list[Any], now: float) -> str:
    """mining.ping: who knows it may be asked as well."""
    session.state.knows_ping = True
    return "pong"


def _hex_number(text: Any) -> int | None:
    """A hex text as a number; None for anything else."""
    if not isinstance(text, str) or not 0 < len(text) <= 64:
        return None
    try:
        return int.from_bytes(bytes.fromhex(text.zfill(len(text) + len(text) % 2)), "big")
    except ValueError:
        return None


def _mask(text: Any) -> int:
    """A version mask out of hex digits; an odd one counts as the widest."""
    number = _hex_number(text)
    return 0xFFFFFFFF if number is None else number & 0xFFFFFFFF


METHODS: dict[str, Callable[[Session, list[Any], float], Any]] = {
    "mining.configure": configure,
    "mining.subscribe": subscribe,
    "mining.authorize": authorize,
    "mining.submit": submit,
    "mining.suggest_difficulty": suggest_difficulty,
    "mining.suggest_target": suggest_target,
    "mining.extranonce.subscribe": extranonce_subscribe,
    "mining.set_version_mask": set_version_mask,
    "mining.ping": ping,
}
NEEDS_SUBSCRIBE = frozenset({"mining.submit"})
"""The order in which miners call the others is theirs: some authorize before they subscribe."""
