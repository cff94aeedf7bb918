"""Jobs as records: what another process needs to make the very same jobs, and to judge submissions for them.

A process that is replaced by a newer one hands over the jobs that its miners still work on. Contexts share most of
their transactions, so each transaction is recorded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.dash.target import bits_to_target
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.jobs.context import WorkContext, rebuild_work_context
from p2pool.jobs.job import UNUSABLE, Job
from p2pool.networks.parameters import Network
from p2pool.share.generation import PayeeFields
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.share.weights import Weights


@dataclass(frozen=True, slots=True)
class ContextRecord:
    """A WorkContext. `template` is without its transactions, which are places in the table of all records;
    `amounts` and `payout` are those of its payouts."""

    share_type: int
    template: BlockTemplate
    transactions: tuple[int, ...]
    parent: ParentContext
    amounts: Mapping[bytes, int]
    payout: int
    refs: TransactionRefs
    desired_version: int
    aux: tuple[AuxWork, ...]
    created: float
    refusal: str | None
    transactions_key: bytes


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A Job on the context at the place `context` of the table."""

    context: int
    payee: PayeeFields
    bits: int
    share_timestamp: int
    header_timestamp: int


@dataclass(frozen=True, slots=True)
class JobRecords:
    """Jobs, with the tables that they refer to."""

    network: str
    transactions: tuple[TemplateTransaction, ...]
    contexts: tuple[ContextRecord, ...]
    jobs: tuple[JobRecord, ...]


def record_jobs(network: Network, jobs: Sequence[Job]) -> JobRecords:
    """Return the records of jobs, in their order."""
    transactions: dict[TemplateTransaction, int] = {}
    contexts: dict[int, tuple[int, ContextRecord]] = {}
    records = []
    for job in jobs:
        known = contexts.get(id(job.context))
        if known is None:
            known = contexts[id(job.context)] = len(contexts), _context_record(job.context, transactions)
        records.append(
            JobRecord(known[0], job.payee, job.bits, job.share_timestamp, header_timestamp=job.timestamp)
        )
    return JobRecords(
        network.name, tuple(transactions), tuple(record for _, record in contexts.values()), tuple(records)
    )


def restore_jobs(records: JobRecords, network: Network) -> list[Job]:
    """Return the recorded jobs, in their order. Raises ParseError for records that no jobs can be made of."""
    if records.network != network.name:
        raise ParseError(f"jobs of the network {records.network!r}, not {network.name!r}")
    contexts = [_context(record, records.transactions, network) for record in records.contexts]
    try:
        return [
            Job(
                contexts[_place(record.context, contexts)],
                record.payee,
                desired_target=bits_to_target(_checked_bits(record.bits)),
                share_timestamp=record.share_timestamp,
                header_timestamp=record.header_timestamp,
            )
            for record in records.jobs
        ]
    except UNUSABLE as error:
        raise ParseError(f"a job that cannot be made again: {error}") from None


def _context_record(context: WorkContext, transactions: dict[TemplateTransaction, int]) -> ContextRecord:
    template = context.template
    places = tuple([transactions.setdefault(each, len(transactions)) for each in template.transactions])
    return ContextRecord(
        share_type=context.version.type,
        template=replace(template, transactions=(), depends=()),
        transactions=places,
        parent=context.parent,
        amounts=context.payouts.amounts,
        payout=context.payouts.payout,
        refs=context.refs,
        desired_version=context.share_data.desired_version,
        aux=() if context.aux is None else tuple(context.aux.works),
        created=context.created,
        refusal=context.refusal,
        transactions_key=context.transactions_key,
    )


def _context(record: ContextRecord, transactions: Sequence[TemplateTransaction], network: Network) -> WorkContext:
    version = SHARE_VERSIONS.get(record.share_type)
    if version is None:
        raise ParseError(f"work for share type {record.share_type}, which is not known")
    _checked_bits(record.template.bits)
    _checked_bits(record.parent.max_bits)
    wanted = tuple([transactions[_place(place, transactions)] for place in record.transactions])
    try:
        context = rebuild_work_context(
            network=network,
            version=version,
            template=replace(record.template, transactions=wanted),
            parent=record.parent,
            weights=_weights_for(record.amounts, record.payout),
            refs=record.refs,
            desired_version=record.desired_version,
            aux=commit_to(record.aux),
            now=record.created,
            transactions_key=record.transactions_key,
        )
    except UNUSABLE as error:
        raise ParseError(f"work that no share can be made of: {error}") from None
    if context.payouts.payout != record.payout or context.payouts.amounts != record.amounts:
        raise ParseError("payouts that do not follow from the work")
    return replace(context, refusal=record.refusal)


def _weights_for(amounts: Mapping[bytes, int], payout: int) -> Weights:
    """Return weights that give each script exactly its amount: 49/50 of the payout go by weight, so a weight of 50
    a duff, with a total of 49 for each duff of the payout."""
    return Weights({script: 50 * amount for script, amount in amounts.items()}, 49 * payout, 0)


def _checked_bits(bits: int) -> int:
    """Return a compact target. Raises ParseError beyond its 32 bits, for which a target would have any size."""
    if not 0 <= bits < 1 << 32:
        raise ParseError(f"a compact target of {bits}")
    return bits


def _place(place: int, table: Sequence[object]) -> int:
    if not 0 <= place < len(table):
        raise ParseError(f"place {place} of a table of {len(table)}")
    return place
