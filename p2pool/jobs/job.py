"""A Job: the work of one payee, and the check of what miners submit for it."""

from __future__ import annotations

import struct

from p2pool.dash.auxpow import AuxPow, AuxWork
from p2pool.dash.block import assemble_block
from p2pool.dash.hashes import Prefix
from p2pool.dash.merkle import walk_branch
from p2pool.dash.pow import x11_digest
from p2pool.dash.script import p2pkh_script
from p2pool.dash.target import bits_to_target
from p2pool.jobs.coinbases import FinderCoinbase
from p2pool.jobs.context import WorkContext
from p2pool.share.errors import ShareInvalid
from p2pool.share.generation import PayeeFields, SolvedHeader
from p2pool.share.parsing import parse_share, ref_hash_of
from p2pool.share.share import Share

NONCE_SIZE = 8
"""last_txout_nonce: extranonce1 and extranonce2, four bytes each."""
UNUSABLE = (ShareInvalid, ValueError, ArithmeticError, struct.error)
"""What numbers out of their range raise while a context or a job is made of them."""
_NOTHING_MEETS = -1
"""A target that no hash meets."""
_HEADER = struct.Struct("<I32s32sIII")


class Job:
    """The work of one payee on one WorkContext, with everything that is needed to judge a submission.

    `coinb1` + 8 bytes of extranonce + `coinb2` is the generation transaction, most of which is the context's:
    a job takes some hundred bytes, however many payees there are. Another process that has the same context
    makes the same job of `payee`, `share_target`, `share_timestamp` and `timestamp`.
    """

    __slots__ = (
        "_absorbed",
        "_coinbase",
        "_donation",
        "_nonce",
        "_ref_hash",
        "_stale_info",
        "aux_target",
        "bits",
        "block_target",
        "context",
        "key_hash",
        "share_target",
        "share_timestamp",
        "timestamp",
        "version",
    )

    def __init__(
        self,
        context: WorkContext,
        payee: PayeeFields,
        *,
        desired_target: int,
        share_timestamp: int,
        header_timestamp: int,
    ) -> None:
        template = context.template
        self.context = context
        self.key_hash = payee.key_hash
        """The 20 bytes of the payee."""
        self._donation, self._stale_info, self._nonce = payee.donation, payee.stale_info, payee.nonce
        self.share_timestamp = share_timestamp
        self.bits = context.parent.bits_for(desired_target)
        self.share_target = bits_to_target(self.bits)
        self.block_target = template.target
        self.aux_target = _NOTHING_MEETS if context.aux is None else context.aux.easiest_target
        self.timestamp = header_timestamp
        self.version = template.version
        self._coinbase: FinderCoinbase | None = context.coinbases.of(p2pkh_script(payee.key_hash))
        self._ref_hash: bytes | None = self._make_ref_hash(payee)
        self._absorbed: Prefix | None = None
        """SHA-256 with `coinb1`, once there is a submission."""

    def shrink(self) -> None:
        """Drop what can be computed again: hardly any submission comes for a job once there is newer work."""
        self._coinbase = self._ref_hash = self._absorbed = None

    @property
    def payee(self) -> PayeeFields:
        """Return whom the job pays, and what else differs between the jobs of a context."""
        return PayeeFields(self.key_hash, self._donation, self._stale_info, self._nonce)

    @property
    def coinbase(self) -> FinderCoinbase:
        """Return what the payee changes in the generation transaction."""
        coinbase = self._coinbase
        if coinbase is None:
            coinbase = self._coinbase = self.context.coinbases.of(p2pkh_script(self.key_hash))
        return coinbase

    @property
    def ref_hash(self) -> bytes:
        """Return the 32 bytes by which the generation transaction commits to the share."""
        ref_hash = self._ref_hash
        if ref_hash is None:
            ref_hash = self._ref_hash = self._make_ref_hash(self.payee)
        return ref_hash

    def _make_ref_hash(self, payee: PayeeFields) -> bytes:
        context = self.context
        return ref_hash_of(context.packer.ref_bytes(self._make_share_info(payee)), (), context.network)

    def _make_share_info(self, payee: PayeeFields) -> bytes:
        context = self.context
        timestamp = context.parent.timestamp_for(self.share_timestamp, context.network)
        return context.packer.share_info(payee, self.bits, timestamp)

    @property
    def share_info(self) -> bytes:
        """Return the bytes of the share that are fixed before the work is done."""
        return self._make_share_info(self.payee)

    @property
    def gentx_prefix(self) -> bytes:
        """Return the generation transaction up to ref_hash."""
        shared, start, own, end = self.coinbase
        return shared.prefix(start, own, end)

    @property
    def coinb1(self) -> bytes:
        """Return the generation transaction up to the extranonce."""
        return self.gentx_prefix + self.ref_hash

    @property
    def coinb2(self) -> bytes:
        """Return the generation transaction after the extranonce."""
        return self.context.suffix

    @property
    def digest(self) -> bytes:
        """Return 8 bytes that differ from those of any other job on the same context."""
        return self._absorb().digest()[:8]

    def _absorb(self) -> Prefix:
        if self._absorbed is None:
            shared, start, own, end = self.coinbase
            self._absorbed = shared.absorb(start, own, end, ref_hash=self.ref_hash)
        return self._absorbed

    def header(self, nonce_bytes: bytes, *, timestamp: int, nonce: int, version: int) -> bytes:
        """Return the header (80 bytes) of a submission: 8 bytes of extranonce, and the header's timestamp, nonce
        and version."""
        context = self.context
        template = context.template
        coinbase_hash = (self._absorbed or self._absorb()).sha256d(nonce_bytes + context.suffix)
        root = walk_branch(coinbase_hash, template.branch)
        return _HEADER.pack(version, context.previous_block_bytes, root, timestamp, template.bits, nonce)

    def check(self, nonce_bytes: bytes, *, timestamp: int, nonce: int, version: int) -> Outcome:
        """Hash a submission, whose fields `header` describes. Costs one X11."""
        header = self.header(nonce_bytes, timestamp=timestamp, nonce=nonce, version=version)
        return Outcome(
            self, hash=int.from_bytes(x11_digest(header), "little"), header=header, nonce_bytes=nonce_bytes
        )


class Outcome:
    """The result of checking a submission: what it is, and the share, block or proof that can be made of it.
    `hash` is the X11 of `header` (80 bytes)."""

    __slots__ = ("hash", "header", "job", "nonce_bytes")

    def __init__(self, job: Job, *, hash: int, header: bytes, nonce_bytes: bytes) -> None:
        self.job = job
        self.hash = hash
        self.header = header
        self.nonce_bytes = nonce_bytes

    @property
    def meets_share(self) -> bool:
        """Return whether this is a share of the share chain."""
        return self.hash <= self.job.share_target

    @property
    def meets_block(self) -> bool:
        """Return whether this is a Dash block."""
        return self.hash <= self.job.block_target

    @property
    def meets_aux(self) -> bool:
        """Return whether this is a block of at least one auxiliary chain."""
        return self.hash <= self.job.aux_target

    def aux_works(self) -> tuple[AuxWork, ...]:
        """Return the blocks of auxiliary chains whose targets this meets."""
        aux = self.job.context.aux
        return () if aux is None else aux.met_by(self.hash)

    def aux_proof(self, work: AuxWork) -> bytes:
        """Return the packed AuxPow for one of `aux_works`; all parts come from the job's own context. Raises
        ValueError for any other work."""
        context = self.job.context
        if context.aux is None or work not in context.aux.works:
            raise ValueError(f"chain {work.chain_id} is not in this job's commitment")
        place = context.aux.works.index(work)
        return AuxPow(
            coinbase=self.gentx,
            parent_hash=self.hash,
            coinbase_branch=context.template.branch,
            chain_branch=context.aux.branches[place],
            slot=context.aux.slots[place],
            header=self.header,
        ).pack()

    @property
    def gentx(self) -> bytes:
        """Return the generation transaction with this submission's extranonce."""
        return self.job.coinb1 + self.nonce_bytes + self.job.coinb2

    def block(self) -> bytes:
        """Return the whole block, ready for dashd; all parts come from the job's own template."""
        transactions = tuple(t.data for t in self.job.context.template.transactions)
        return assemble_block(self.header, self.gentx, transactions)

    def share(self) -> Share:
        """Return the share. Raises ShareInvalid if the hash does not meet the share target."""
        context, header = self.job.context, self.header
        contents = context.packer.contents(
            SolvedHeader(
                version=int.from_bytes(header[0:4], "little"),
                previous_block=context.template.previous_block,
                timestamp=int.from_bytes(header[68:72], "little"),
                bits=context.template.bits,
                nonce=int.from_bytes(header[76:80], "little"),
            ),
            share_info=self.job.share_info,
            gentx_prefix=self.job.gentx_prefix,
            last_txout_nonce=self.nonce_bytes,
            merkle_link=context.template.branch,
        )
        return parse_share(context.version, contents, context.network, known_hash=self.hash)
