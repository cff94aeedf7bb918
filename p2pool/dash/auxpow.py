"""Merged mining: one proof of work for Dash and for auxiliary chains, in the form that Namecoin introduced.

The hashes of the auxiliary chains' blocks are the leaves of a tree whose root a Dash coinbase holds. Each chain
has the slot that its id prescribes, so that nobody can work on two blocks of one chain with the same hashes.
`dashd.merged` builds the commitment, `jobs` puts it into coinbases and proves it afterwards, `simnet.aux_daemon`
checks proofs. Source: Bitcoin wiki, "Merged mining specification".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.dash.pow import HEADER_SIZE
from p2pool.dash.transaction import read_transaction
from p2pool.wire.codec import Reader, pack_uint32, pack_varint

MAGIC = b"\xfa\xbemm"
"""What the commitment begins with; a coinbase script must hold it once."""
COMMITMENT_SIZE = 44
MAX_TREE_DEPTH = 30
"""The longest branch that auxiliary chains accept."""
MAX_CHAIN_ID = (1 << MAX_TREE_DEPTH) - 1
"""Any different ids up to this one have different slots in a tree of 2**30 leaves: a tree always exists."""
MAX_COINBASE_BRANCH = 30
_NONCE = 0
_MULTIPLIER, _INCREMENT = 1103515245, 12345
_MASK_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class AuxWork:
    """A block of an auxiliary chain that waits for its work. `hash` and `target` are numbers, as block hashes and
    targets of Dash are."""

    chain_id: int
    hash: int
    target: int


def slot_of(chain_id: int, size: int, nonce: int = _NONCE) -> int:
    """Return where the tree of `size` leaves (a power of two) holds the block of a chain."""
    state = (nonce * _MULTIPLIER + _INCREMENT + chain_id) & _MASK_32
    return ((state * _MULTIPLIER + _INCREMENT) & _MASK_32) % size


@dataclass(frozen=True, slots=True)
class AuxCommitment:
    """Blocks of auxiliary chains and the tree over them. `slots` and `branches` follow the order of `works`, that
    of chain ids; branch entries are 32 bytes in hashing order, as is `root`."""

    works: tuple[AuxWork, ...]
    slots: tuple[int, ...]
    branches: tuple[tuple[bytes, ...], ...]
    root: bytes
    size: int
    easiest_target: int
    """What a hash must not exceed to be of use for any of the chains."""

    @property
    def data(self) -> bytes:
        """Return the 44 bytes that the coinbase script holds: magic, root as it is displayed, size, nonce."""
        return MAGIC + self.root[::-1] + pack_uint32(self.size) + pack_uint32(_NONCE)

    def met_by(self, found: int) -> tuple[AuxWork, ...]:
        """Return the works that a hash is enough for."""
        return tuple(work for work in self.works if found <= work.target)


def commit_to(works: Iterable[AuxWork]) -> AuxCommitment | None:
    """Return the commitment to one block of each chain; None for no blocks.

    Raises ValueError for ids that are not between 0 and MAX_CHAIN_ID, or come twice.
    """
    ordered = tuple(sorted(works, key=lambda work: work.chain_id))
    if not ordered:
        return None
    ids = {work.chain_id for work in ordered}
    if len(ids) != len(ordered) or ordered[0].chain_id < 0 or ordered[-1].chain_id > MAX_CHAIN_ID:
        raise ValueError(f"chain ids {[work.chain_id for work in ordered]} are not different numbers in range")
    depth = (len(ordered) - 1).bit_length()
    while len({slot_of(chain_id, 1 << depth) for chain_id in ids}) < len(ids):
        depth += 1
    slots = tuple(slot_of(work.chain_id, 1 << depth) for work in ordered)
    leaves = {slot: work.hash.to_bytes(32, "little") for slot, work in zip(slots, ordered, strict=True)}
    root, branches = _tree(leaves, depth)
    return AuxCommitment(
        works=ordered,
        slots=slots,
        branches=tuple(branches[slot] for slot in slots),
        root=root,
        size=1 << depth,
        easiest_target=max(work.target for work in ordered),
    )


def _tree(leaves: dict[int, bytes], depth: int) -> tuple[bytes, dict[int, tuple[bytes, ...]]]:
    """Return (root, branch of each leaf) of a tree in which absent leaves are 0. What holds nothing is hashed once
    a level, so that a huge tree with few leaves costs little."""
    branches: dict[int, list[bytes]] = {slot: [] for slot in leaves}
    level, nothing = leaves, bytes(32)
    for height in range(depth):
        for slot, branch in branches.items():
            branch.append(level.get(slot >> height ^ 1, nothing))
        level = {
            index: sha256d(level.get(2 * index, nothing) + level.get(2 * index + 1, nothing))
            for index in {slot // 2 for slot in level}
        }
        nothing = sha256d(nothing + nothing)
    return level[0], {slot: tuple(branch) for slot, branch in branches.items()}


@dataclass(frozen=True, slots=True)
class Commitment:
    """A commitment as it is in a coinbase script; `root` is in hashing order."""

    root: bytes
    size: int
    nonce: int


def find_commitment(script: bytes) -> Commitment:
    """Return the one commitment in a coinbase script. ParseError if there is none, or more than one."""
    start = script.find(MAGIC)
    if start < 0:
        raise ParseError("the coinbase script holds no merged mining commitment")
    if script.find(MAGIC, start + 1) >= 0:
        raise ParseError("the coinbase script holds more than one merged mining commitment")
    reader = Reader(script, start + len(MAGIC))
    return Commitment(reader.take(32)[::-1], reader.uint32(), reader.uint32())


@dataclass(frozen=True, slots=True)
class AuxPow:
    """The proof that a Dash header's work stands for an auxiliary block.

    `coinbase` is the packed transaction, `parent_hash` the header's hash; branch entries are 32 bytes in hashing
    order; `header` has 80 bytes.
    """

    coinbase: bytes
    parent_hash: int
    coinbase_branch: tuple[bytes, ...]
    chain_branch: tuple[bytes, ...]
    slot: int
    header: bytes

    def pack(self) -> bytes:
        """Return the bytes that `getauxblock` takes, in hex, as its second argument."""
        return b"".join(
            (
                self.coinbase,
                self.parent_hash.to_bytes(32, "little"),
                _pack_branch(self.coinbase_branch, 0),
                _pack_branch(self.chain_branch, self.slot),
                self.header,
            )
        )


def parse_auxpow(data: bytes) -> AuxPow:
    """Return the proof that is all of `data`. Raises ParseError."""
    reader = Reader(data)
    read_transaction(reader)
    coinbase = data[: reader.position]
    parent_hash = reader.uint256()
    coinbase_branch, index = _read_branch(reader, MAX_COINBASE_BRANCH)
    if index:
        raise ParseError(f"the coinbase is transaction {index} of its block")
    chain_branch, slot = _read_branch(reader, MAX_TREE_DEPTH)
    header = reader.take(HEADER_SIZE)
    reader.expect_end()
    return AuxPow(coinbase, parent_hash, coinbase_branch, chain_branch, slot, header)


def _pack_branch(branch: tuple[bytes, ...], index: int) -> bytes:
    return b"".join((pack_varint(len(branch)), *branch, pack_uint32(index)))


def _read_branch(reader: Reader, most: int) -> tuple[tuple[bytes, ...], int]:
    count = reader.count(32)
    if count > most:
        raise ParseError(f"a merkle branch of {count} entries")
    return tuple(reader.take(32) for _ in range(count)), reader.uint32()
