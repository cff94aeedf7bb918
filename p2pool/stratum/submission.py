"""The fields of a mining.submit, checked against the job that they are for."""

from __future__ import annotations

from typing import Any, NamedTuple

from p2pool.jobs.job import Job
from p2pool.stratum.errors import Code, Refusal

MAX_TIME_AHEAD = 7200
"""Seconds that a block's time may be ahead of now (parent chain's rule)."""


class Submission(NamedTuple):
    """A submission's fields: 4 bytes of extranonce2 and three header fields. `key` is what makes two submissions
    for one job the same. `refusal` is what is wrong with the version bits: whoever sent them is refused, but the
    header is hashed first, since it could be a block."""

    extranonce2: bytes
    timestamp: int
    nonce: int
    version: int
    key: bytes
    refusal: Refusal | None


class VersionMasks(NamedTuple):
    """What a connection may roll: the negotiated mask (None where there is none), the one that it may still use
    for what it has in work, and the pool's, within which a header is hashed whatever was negotiated."""

    negotiated: int | None
    former: int
    pool: int


_FIELDS = ("extranonce2", "ntime", "nonce")


def parse_submission(params: list[Any], job: Job, masks: VersionMasks, now: float) -> Submission:
    """`[worker, job_id, extranonce2, ntime, nonce, version_bits?]`. Raises Refusal(20)."""
    try:
        extranonce2, ntime, nonce = params[2:5]
        raw = bytes.fromhex(extranonce2 + ntime + nonce)
        # Each by itself: together they could be 24 digits in three wrong lengths; fromhex passes over spaces.
        fits = len(raw) == 12 and len(extranonce2) == len(ntime) == len(nonce) == 8
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise _misshapen(params)
    timestamp = int.from_bytes(raw[4:8], "big")
    version, refusal = job.version, None
    if len(params) > 5 and params[5] is not None:
        version, refusal = _rolled_version(_four_bytes(params[5], "version bits"), job.version, masks)
    # Our clock may lag behind that of dashd, whose time the job carries.
    if not job.context.template.minimum_time <= timestamp <= max(now, job.timestamp) + MAX_TIME_AHEAD:
        raise Refusal(Code.OTHER, f"ntime {timestamp} out of range")
    key = raw + version.to_bytes(4, "big")
    return Submission(raw[:4], timestamp, int.from_bytes(raw[8:], "big"), version, key, refusal)


def _four_bytes(value: Any, name: str) -> int:
    if isinstance(value, str) and len(value) == 8:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if len(data) == 4:
            return int.from_bytes(data, "big")
    raise Refusal(Code.OTHER, f"{name} is not 8 hex digits")


def _misshapen(params: list[Any]) -> Refusal:
    """Which field is wrong."""
    for index, name in enumerate(_FIELDS, 2):
        try:
            _four_bytes(params[index] if len(params) > index else None, name)
        except Refusal as refusal:
            return refusal
    return Refusal(Code.OTHER, "extranonce2, ntime and nonce are not 8 hex digits each")


def _rolled_version(bits: int, version: int, masks: VersionMasks) -> tuple[int, Refusal | None]:
    """(the header's version, what is wrong with the bits)."""
    mask = masks.negotiated
    if mask is None:
        if bits in (0, version):  # some firmware always sends the field
            return version, None
        mask = 0
    if not bits & ~mask & 0xFFFFFFFF:
        return version & ~mask | bits, None
    if not bits & ~masks.former & 0xFFFFFFFF:
        return version & ~masks.former | bits, None
    text = (
        "version bits without version-rolling"
        if masks.negotiated is None
        else f"version bits {bits:08x} outside the mask {mask:08x}"
    )
    return version & ~masks.pool | bits & masks.pool, Refusal(Code.OTHER, text)
