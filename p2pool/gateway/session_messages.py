"""A miner's session as gateways keep it in the broker, and what they tell each other when it moves."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from p2pool.gateway.messages import SCHEMA, Amount, Hash, KeyHash, NetworkName, Uint32

MAX_JOBS: Final = 8
"""The newest jobs of a session that travel with it."""
MAX_KEYS: Final = 256
"""Accepted submissions of one job that travel with it. A job that has more is credited no longer elsewhere."""

Extranonce1 = Annotated[bytes, msgspec.Meta(min_length=4, max_length=4)]
SubmissionKey = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
SessionId = Annotated[str, msgspec.Meta(pattern="^d[0-9a-f]{31}$")]
GatewayToken = Annotated[str, msgspec.Meta(max_length=64)]
_Keys = Annotated[list[SubmissionKey], msgspec.Meta(max_length=MAX_KEYS)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e300)]


class JobPart(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the miner was sent: what it is made of, and what was accepted for it."""

    job_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,8}$")]
    maker: GatewayToken
    """The gateway that issued it; `generation` and `variant` mean something there."""
    generation: int
    variant: Annotated[int, msgspec.Meta(ge=0, le=255)]
    run: Amount
    number: Amount
    """The work: `WorkMessage.run` and `WorkMessage.number`."""
    address: KeyHash
    share_difficulty: _Positive | None
    """The request that it answers."""
    paid: KeyHash
    donation: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    stale_info: Annotated[int, msgspec.Meta(ge=0, le=255)]
    nonce: Uint32
    target: Hash
    share_time: Uint32
    header_time: Uint32
    digest: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    """`Job.digest`: only the very same job has it."""
    difficulty: _Positive
    accepted: _Keys
    used: _Keys
    """Those of the accepted submissions that were shares or blocks."""
    spent: bool
    """Whether nothing more is credited."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session. `gateway` is the one that has it, and hands it over when it is asked."""

    schema: int = SCHEMA
    network: NetworkName
    gateway: GatewayToken
    released: bool
    """Whether that gateway has stopped, so that there is nobody to ask, and nothing newer than this."""
    session_id: SessionId
    extranonce1: Extranonce1
    difficulty: _Positive
    minimum: _Positive
    fixed: bool
    share_rate: _Positive
    requested_mask: Uint32 | None
    extranonce_changes: bool
    knows_ping: bool
    jobs: Annotated[list[JobPart], msgspec.Meta(max_length=MAX_JOBS)]


class HandoverMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the stream of handovers: a gateway claims a session, or hands it over with its `record`; the
    record is None if it cannot."""

    schema: int = SCHEMA
    session_id: SessionId
    gateway: GatewayToken
    """The gateway that says this."""
    is_claim: bool
    record: SessionRecord | None = None
