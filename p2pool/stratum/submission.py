"""The fields of a mining.submit, checked against the job that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from p2pool.jobs.job import Job
from p2pool.stratum.errors import Code, Refusal

MAX_TIME_AHEAD = 7200
"""Seconds that a block's time may be ahead of now (parent chain's rule)."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission's fields: 4 bytes of extranonce2 and three header fields."""

    extranonce2: bytes
    timestamp: int
    nonce: int
    version: int

    @property
    def key(self) -> tuple[bytes, int, int, int]:
        """What makes two submissions for one job the same."""
        return self.extranonce2, self.timestamp, self.nonce, self.version


def _four_bytes(params: list[Any], index: int, name: str) -> bytes:
    value = params[index] if len(params) > index else None
    if isinstance(value, str) and len(value) == 8:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if len(data) == 4:  # fromhex passes over spaces
            return data
    raise Refusal(Code.OTHER, f"{name} is not 8 hex digits")


def parse_submission(params: list[Any], job: Job, version_mask: int | None, now: float) -> Submission:
    """`[worker, job_id, extranonce2, ntime, nonce, version_bits?]`. Raises Refusal(20).

    `version_mask` is the negotiated one, None where version rolling was not negotiated.
    """
    extranonce2 = _four_bytes(params, 2, "extranonce2")
    timestamp = int.from_bytes(_four_bytes(params, 3, "ntime"), "big")
    nonce = int.from_bytes(_four_bytes(params, 4, "nonce"), "big")
    version = job.version
    if len(params) > 5 and params[5] is not None:
        rolled = int.from_bytes(_four_bytes(params, 5, "version_bits"), "big")
        if version_mask is None:
            if rolled not in (0, version):
                raise Refusal(Code.OTHER, "version bits without version-rolling")
        else:
            if rolled & ~version_mask & 0xFFFFFFFF:
                raise Refusal(Code.OTHER, f"version bits {rolled:08x} outside the mask {version_mask:08x}")
            version = (version & ~version_mask) | (rolled & version_mask)
    # Our clock may lag behind that of dashd, whose time the job carries.
    if not job.context.template.minimum_time <= timestamp <= max(now, job.timestamp) + MAX_TIME_AHEAD:
        raise Refusal(Code.OTHER, f"ntime {timestamp} out of range")
    return Submission(extranonce2, timestamp, nonce, version)
