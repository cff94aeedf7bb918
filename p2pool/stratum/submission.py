"""The fields of a mining.submit, checked against the job that they are for."""

from __future__ import annotations

from typing import Any, NamedTuple

from p2pool.jobs.job import Job, Outcome
from p2pool.stratum.errors import ErrorCode, StratumError
from p2pool.stratum.miner_state import SentJob
from p2pool.stratum.username import Username

MAX_TIME_AHEAD = 7200
"""Seconds that a block's time may be ahead of now (a rule of Dash)."""


class Submission(NamedTuple):
    """The fields of a submission: 4 bytes of extranonce2 and three header fields.

    Two submissions for one job with the same `key` are duplicates. `error` is what is wrong with the version bits:
    such a submission is rejected, but its header is hashed first, since it could be a block.
    """

    extranonce2: bytes
    timestamp: int
    nonce: int
    version: int
    key: bytes
    error: StratumError | None


class VersionMasks(NamedTuple):
    """The version bits that a connection may roll.

    `negotiated` is its mask (None without version rolling), `former` the one that it may still use for jobs at
    hand; within `pool`, the mask of the settings, a header is hashed whatever was negotiated.
    """

    negotiated: int | None
    former: int
    pool: int


class PreparedSubmission:
    """A submission that is found valid but for its hash: the 80 bytes of `header` are to be hashed, and `found`,
    the X11 of them, is to be set before it is judged. `worker` is None if it is not authorized."""

    __slots__ = ("found", "header", "job", "nonce_bytes", "sent", "submission", "worker")

    def __init__(self, sent: SentJob, submission: Submission, *, job: Job, worker: Username | None) -> None:
        self.sent = sent
        self.submission = submission
        self.job = job
        self.worker = worker
        self.nonce_bytes = sent.extranonce1 + submission.extranonce2
        self.header = job.header(
            self.nonce_bytes,
            timestamp=submission.timestamp,
            nonce=submission.nonce,
            version=submission.version,
        )
        self.found = 0

    def outcome(self) -> Outcome:
        """Return what can be made of a submission that solves something."""
        return Outcome(self.job, hash=self.found, header=self.header, nonce_bytes=self.nonce_bytes)


NO_MASKS = VersionMasks(None, 0, 0)
"""For submissions without version bits."""
_FIELDS = ("extranonce2", "ntime", "nonce")


def parse_submission(params: list[Any], job: Job, *, masks: VersionMasks, now: float) -> Submission:
    """Parse `[worker, job_id, extranonce2, ntime, nonce, version_bits?]`. Raises StratumError(20)."""
    try:
        extranonce2, ntime, nonce = params[2:5]
        raw = bytes.fromhex(extranonce2 + ntime + nonce)
        # Each length is checked by itself: three wrong lengths could add up to 24 digits; fromhex skips spaces.
        fits = len(raw) == 12 and len(extranonce2) == len(ntime) == len(nonce) == 8
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise _malformed(params)
    timestamp = int.from_bytes(raw[4:8], "big")
    version, error = job.version, None
    if len(params) > 5 and params[5] is not None:
        version, error = _rolled_version(_four_bytes(params[5], "version bits"), job.version, masks)
    # This clock may be behind that of dashd, whose time is in the job.
    if not job.context.template.minimum_time <= timestamp <= max(now, job.timestamp) + MAX_TIME_AHEAD:
        raise StratumError(ErrorCode.OTHER, f"ntime {timestamp} out of range")
    key = raw + version.to_bytes(4, "big")
    return Submission(raw[:4], timestamp, int.from_bytes(raw[8:], "big"), version, key, error)


def _four_bytes(value: Any, name: str) -> int:
    if isinstance(value, str) and len(value) == 8:
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if len(data) == 4:
            return int.from_bytes(data, "big")
    raise StratumError(ErrorCode.OTHER, f"{name} is not 8 hex digits")


def _malformed(params: list[Any]) -> StratumError:
    """Return the error that names the malformed field."""
    for index, name in enumerate(_FIELDS, 2):
        try:
            _four_bytes(params[index] if len(params) > index else None, name)
        except StratumError as error:
            return error
    return StratumError(ErrorCode.OTHER, "extranonce2, ntime and nonce are not 8 hex digits each")


def _rolled_version(bits: int, version: int, masks: VersionMasks) -> tuple[int, StratumError | None]:
    """Return the header's version, and the error if the miner may not roll these bits."""
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
        "version bits sent without negotiating version-rolling"
        if masks.negotiated is None
        else f"version bits {bits:08x} are outside the mask {mask:08x}"
    )
    return version & ~masks.pool | bits & masks.pool, StratumError(ErrorCode.OTHER, text)
