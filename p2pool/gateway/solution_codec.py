"""A gateway's Outcome -> SolutionMessage -> what the node takes: share, block, blocks of auxiliary chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from twisted.logger import Logger

from p2pool.base.errors import ParseError
from p2pool.base.text import printable
from p2pool.dash.auxpow import AuxWork
from p2pool.dash.block import assemble_block
from p2pool.dash.pow import x11
from p2pool.dashd.found_block import FoundBlock
from p2pool.gateway.messages import AuxPart, AuxProofPart, BlockPart, SolutionMessage
from p2pool.jobs.job import Outcome
from p2pool.networks.parameters import Network
from p2pool.share.errors import ShareInvalid
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope

T = TypeVar("T")
_log = Logger(namespace="p2pool.gateway")

MAX_WORKER: Final = 200
"""Characters of a worker's name that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedBlock:
    """A found block whose other transactions are still to be looked up under `transactions`."""

    part: BlockPart
    block_hash: int
    worker: str
    share_hash: int | None
    found: float

    @property
    def previous_block(self) -> bytes:
        """Return the hash of the previous block, as the header has it."""
        return self.part.header[4:36]

    def complete(self, transactions: Sequence[bytes]) -> FoundBlock:
        """Return the whole block. `transactions` are those that follow the coinbase."""
        return FoundBlock(
            block_hash=self.block_hash,
            height=self.part.height,
            data=assemble_block(self.part.header, self.part.coinbase, tuple(transactions)),
            worker=self.worker,
            share_hash=self.share_hash,
            subsidy=self.part.subsidy,
            time=self.found,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSolution:
    """A solution as the node reads it. `aux` holds packed proofs."""

    worker: str
    found: float
    share: Share | None
    block: SolvedBlock | None
    aux: tuple[tuple[AuxWork, bytes], ...]
    problem: str | None = None
    """Why the share cannot be used; the block and those of auxiliary chains can be all the same."""


def solution_message(outcome: Outcome, *, gateway: str, worker: str, found: float) -> SolutionMessage:
    """Return the message about work that a miner of a gateway solved. A part that cannot be made, which is a bug,
    is logged and left out: above all, it must not cost the block."""
    context = outcome.job.context
    template = context.template
    block = None
    if outcome.meets_block:
        block = BlockPart(
            header=outcome.header,
            coinbase=outcome.gentx,
            height=template.height,
            subsidy=template.subsidy,
            transactions=context.transactions_key,
        )
    return SolutionMessage(
        network=context.network.name,
        gateway=gateway,
        worker=worker,
        found=found,
        hash=outcome.hash.to_bytes(32, "little"),
        share=_made("share", lambda: outcome.share().envelope) if outcome.meets_share else None,
        block=block,
        aux=(_made("auxiliary blocks", lambda: _aux_proofs(outcome)) or []) if outcome.meets_aux else [],
    )


def _made(what: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except Exception:
        _log.failure("internal error: cannot make the {what} of a solution", what=what)
        return None


def _aux_proofs(outcome: Outcome) -> list[AuxProofPart]:
    return [
        AuxProofPart(
            work=AuxPart(
                chain_id=work.chain_id,
                hash=work.hash.to_bytes(32, "little"),
                target=work.target.to_bytes(32, "little"),
            ),
            proof=outcome.aux_proof(work),
        )
        for work in outcome.aux_works()
    ]


def read_solution(message: SolutionMessage, network: Network) -> ReadSolution:
    """Return what a message holds. The block's hash is computed from its header (one X11), and so is the share's.
    Raises ParseError for one of another network."""
    if message.network != network.name:
        raise ParseError(f"a solution for network {message.network!r}, not {network.name!r}: check --broker")
    worker = printable(message.worker, MAX_WORKER)
    share = problem = None
    if message.share is not None:
        try:
            share = parse_envelope(message.share, network)
        except (ShareInvalid, ParseError) as error:
            problem = f"a gateway's share is invalid: {error}"
    block = None
    if message.block is not None:
        block = SolvedBlock(
            part=message.block,
            block_hash=x11(message.block.header),
            worker=worker,
            share_hash=None if share is None else share.hash,
            found=message.found,
        )
    return ReadSolution(
        worker=worker,
        found=message.found,
        share=share,
        block=block,
        aux=tuple((_aux_work(part.work), part.proof) for part in message.aux),
        problem=problem,
    )


def _aux_work(part: AuxPart) -> AuxWork:
    return AuxWork(part.chain_id, int.from_bytes(part.hash, "little"), int.from_bytes(part.target, "little"))
