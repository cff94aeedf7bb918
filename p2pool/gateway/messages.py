"""What the node and its gateways send each other, in MessagePack: new work, and what miners solved of it.

A WorkMessage holds what a WorkContext is made from, so that a gateway makes the very same one, and the figures
that jobs take from the node (`JobTerms`). The transactions of the block are not part of it: they are needed only
to complete a block, and travel under `transactions`, the key that `template_transactions` gives them.

Hashes, targets and weights are numbers of more than 64 bits: little-endian bytes, 32 for hashes and targets.
Fields may be added with a default; any other change raises SCHEMA, and older gateways say so and wait for an
upgrade.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from p2pool.base.errors import ParseError
from p2pool.base.text import printable

MAX_PROBLEM: Final = 200
"""Characters of what is wrong with a message that are shown: they may repeat a part of it."""
MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes of a message; the broker holds up to 512 MiB under one key."""
SCHEMA: Final = 1
"""The version of the format. A reader takes messages of its own version only."""
Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Number = Annotated[bytes, msgspec.Meta(max_length=64)]
KeyHash = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
TransactionsKey = Annotated[bytes, msgspec.Meta(max_length=32)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
NetworkName = Annotated[str, msgspec.Meta(max_length=64)]
Time = Annotated[float, msgspec.Meta(ge=0, le=2**33)]
"""Seconds, since 1970 or of an age; neither infinite nor NaN."""


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all parts: immutable, fields by name."""


class TemplatePart(_Message, frozen=True, kw_only=True):
    """A block template without its transactions. `age` in seconds since dashd answered, by the node's clock."""

    height: Uint32
    version: Uint32
    previous_block: Hash
    bits: Uint32
    current_time: Uint32
    minimum_time: Uint32
    subsidy: Amount
    payments: list[tuple[str, Amount]]
    payment_amount: Amount
    masternode_payments: int
    coinbase_flags: bytes
    coinbase_payload: bytes
    branch: list[Hash]
    age: Time
    transactions: TransactionsKey
    """The key of the block's other transactions, see `template_transactions`; empty if there are none."""
    transaction_count: int


class ParentPart(_Message, frozen=True, kw_only=True):
    """What the share chain says about the successors of the best share: `share.parent_context`."""

    previous_hash: Hash | None
    height: int
    target_limit: Number
    max_bits: Uint32
    previous_timestamp: Uint32 | None
    absheight: int
    previous_abswork: Number
    far_share_hash: Hash | None
    weights_start: Hash | None
    weights_length: int
    abswork_modulus: Number


class WeightsPart(_Message, frozen=True, kw_only=True):
    """The PPLNS window: (payout script, weight) of everyone in it."""

    by_script: list[tuple[bytes, Number]]
    total: Number
    donation: Number


class TermsPart(_Message, frozen=True, kw_only=True):
    """What jobs take from the node: see `jobs.job_maker.JobTerms`. Rates in hashes per second."""

    fee: Annotated[float, msgspec.Meta(ge=0, le=100)]
    donation: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    stale_info: Annotated[int, msgspec.Meta(ge=0, le=255)]
    operator_key_hash: KeyHash | None
    recent_finders: list[KeyHash]
    local_rate: Rate
    pool_rate: Rate | None


class AuxPart(_Message, frozen=True, kw_only=True):
    """A block of an auxiliary chain that the work commits to."""

    chain_id: int
    hash: Hash
    target: Hash


class WorkMessage(_Message, frozen=True, kw_only=True):
    """All that a gateway needs to make jobs. `sent` is the node's clock in Unix seconds, `elapsed` its clock that
    is never set, which older nodes do not send."""

    schema: int = SCHEMA
    run: int = 0
    """A random number of the node's run."""
    number: int = 0
    """Counts the works of the run. A message with the same run and number as the one before repeats its work, with
    terms of now."""
    network: NetworkName
    share_type: int
    clean: bool
    """Whether earlier work is worthless."""
    more_to_come: bool
    """Whether newer work is expected within milliseconds."""
    sent: Time
    elapsed: Time | None = None
    withdrawn: bool = False
    """Whether miners are better off at their backup pools, since the node has been without other nodes for too
    long. The work is the last that there was."""
    desired_version: int
    new_transaction_hashes: list[Hash]
    transaction_refs: list[tuple[int, int]]
    template: TemplatePart
    parent: ParentPart
    weights: WeightsPart
    aux: list[AuxPart]
    terms: TermsPart

    def repeats(self, other: WorkMessage | None) -> bool:
        """Return whether this message repeats the work of another one."""
        return other is not None and (self.run, self.number) == (other.run, other.number)


class WorkSender(msgspec.Struct, frozen=True):
    """The part of a WorkMessage that says which run of a node sent it."""

    schema: int
    run: int


class BlockPart(_Message, frozen=True, kw_only=True):
    """A found block without the transactions after the coinbase, which travel under `transactions`."""

    header: Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]
    coinbase: bytes
    height: Uint32
    subsidy: Amount
    transactions: TransactionsKey
    """The key of the other transactions; empty if there are none."""


class AuxProofPart(_Message, frozen=True, kw_only=True):
    """A found block of an auxiliary chain, with its packed AuxPow."""

    work: AuxPart
    proof: bytes


class SolutionMessage(_Message, frozen=True, kw_only=True):
    """Solved work: a share, a block, blocks of auxiliary chains, or several of them. `found` is when it was found,
    by the node's clock."""

    schema: int = SCHEMA
    network: NetworkName
    gateway: str
    worker: str
    found: Time
    hash: Hash
    """The X11 of the header."""
    share: bytes | None
    """The share in its envelope; None if the hash does not meet the share's target."""
    block: BlockPart | None
    aux: list[AuxProofPart]


class OtherSchema(ParseError):
    """The message is of another SCHEMA."""


class _Version(msgspec.Struct):
    schema: int


_encode = msgspec.msgpack.Encoder().encode
_decode_version = msgspec.msgpack.Decoder(_Version).decode
_M = TypeVar("_M", bound=msgspec.Struct)


def pack_message(message: msgspec.Struct) -> bytes:
    """Return a message as bytes."""
    return _encode(message)


def parse_message(kind: type[_M], data: bytes) -> _M:
    """Return the message that is all of `data`. Raises ParseError; OtherSchema for one of another SCHEMA."""
    if len(data) > MAX_MESSAGE:
        raise ParseError(f"{kind.__name__} of {len(data)} bytes, more than {MAX_MESSAGE}")
    try:
        schema = _decode_version(data).schema
        if schema == SCHEMA:
            return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"malformed {kind.__name__}: {printable(str(error), MAX_PROBLEM)}") from None
    raise OtherSchema(
        f"{kind.__name__} of format {schema}, not {SCHEMA}: run the same version in node and gateways"
    )


def pack_number(value: int) -> bytes:
    """Return a number of any size as little-endian bytes."""
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def parse_number(data: bytes) -> int:
    """Return the number that `pack_number` packed."""
    return int.from_bytes(data, "little")
