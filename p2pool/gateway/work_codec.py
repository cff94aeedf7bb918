"""WorkContext <-> WorkMessage: the gateway's context is equal to the node's, except for the transactions."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import AuxCommitment, AuxWork, commit_to
from p2pool.dash.target import MAX_UINT256
from p2pool.dashd.template import BlockTemplate
from p2pool.gateway.messages import (
    AuxPart,
    ParentPart,
    TemplatePart,
    TermsPart,
    WeightsPart,
    WorkMessage,
    pack_number,
    parse_number,
)
from p2pool.gateway.template_transactions import transactions_key
from p2pool.jobs.context import WorkContext, rebuild_work_context
from p2pool.jobs.job import NONCE_SIZE, UNUSABLE, Job
from p2pool.jobs.job_maker import MAX_TEMPLATE_AGE, JobTerms
from p2pool.networks.parameters import Network
from p2pool.share.generation import PayeeFields
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.share import ChainView
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.share.weights import Weights


@dataclass(frozen=True, slots=True)
class WorkChangeSent:
    """A change of work, as the node sends it: see `node.WorkChange`."""

    context: WorkContext
    clean: bool
    more_to_come: bool


def work_message(change: WorkChangeSent, *, view: ChainView, terms: JobTerms, now: float) -> WorkMessage:
    """Return the message about new work. `view` is the chain that the work was made on, `now` the node's clock."""
    context = change.context
    parent = context.parent
    weights = context.version.weights(view, parent, block_target=context.template.target, network=context.network)
    return WorkMessage(
        network=context.network.name,
        share_type=context.version.type,
        clean=change.clean,
        more_to_come=change.more_to_come,
        sent=now,
        desired_version=context.share_data.desired_version,
        new_transaction_hashes=[_hash(value) for value in context.refs.new_hashes],
        transaction_refs=list(context.refs.refs),
        template=_template_part(context.template, now),
        parent=_parent_part(parent),
        weights=WeightsPart(
            by_script=[(script, pack_number(weight)) for script, weight in weights.by_script.items()],
            total=pack_number(weights.total),
            donation=pack_number(weights.donation),
        ),
        aux=[] if context.aux is None else [_aux_part(work) for work in context.aux.works],
        terms=TermsPart(
            fee=terms.fee,
            donation=terms.donation,
            stale_info=terms.stale_info,
            operator_key_hash=terms.operator_key_hash(),
            recent_finders=list(terms.recent_finders()),
            local_rate=terms.local_rate(now),
            pool_rate=terms.pool_rate(),
        ),
    )


def context_of(message: WorkMessage, network: Network, now: float) -> WorkContext:
    """Return the context that a message describes; `now` is the clock of this process. Its template has no
    transactions. Raises ParseError, also for work of another network."""
    version = SHARE_VERSIONS.get(message.share_type)
    if message.network != network.name:
        raise ParseError(
            f"work for the network {message.network!r}, not {network.name!r}: check --net and --broker"
        )
    if version is None:
        raise ParseError(f"work for share type {message.share_type}, not {SHARE_VERSIONS}: upgrade the gateway")
    weights = message.weights
    try:
        context = rebuild_work_context(
            network=network,
            version=version,
            template=_template(message.template, now),
            parent=_parent(message.parent),
            weights=Weights(
                {script: parse_number(weight) for script, weight in weights.by_script},
                parse_number(weights.total),
                parse_number(weights.donation),
            ),
            refs=TransactionRefs(
                tuple(_number(value) for value in message.new_transaction_hashes), tuple(message.transaction_refs)
            ),
            desired_version=message.desired_version,
            aux=_commitment(message.aux),
            now=now,
            transactions_key=message.template.transactions,
        )
        _try(context, int(message.sent))
    except UNUSABLE as error:
        raise ParseError(f"work that no share can be made of: {error}") from None
    return context


def _try(context: WorkContext, node_time: int) -> None:
    """Make and check a job, as late as jobs on this template are made. Raises UNUSABLE if there can be none."""
    template = context.template
    latest = max(template.current_time, template.minimum_time) + int(MAX_TEMPLATE_AGE)
    payee = PayeeFields(key_hash=bytes(20), donation=0, stale_info=0, nonce=0)
    job = Job(context, payee, desired_target=MAX_UINT256, share_timestamp=node_time, header_timestamp=latest)
    job.check(bytes(NONCE_SIZE), timestamp=latest, nonce=0, version=job.version)


def _template_part(template: BlockTemplate, now: float) -> TemplatePart:
    return TemplatePart(
        height=template.height,
        version=template.version,
        previous_block=_hash(template.previous_block),
        bits=template.bits,
        current_time=template.current_time,
        minimum_time=template.minimum_time,
        subsidy=template.subsidy,
        payments=list(template.payments),
        payment_amount=template.payment_amount,
        masternode_payments=template.masternode_payments,
        coinbase_flags=template.coinbase_flags,
        coinbase_payload=template.coinbase_payload,
        branch=list(template.branch),
        age=max(0.0, now - template.received),
        transactions=transactions_key(template),
        transaction_count=len(template.transactions),
    )


def _template(part: TemplatePart, now: float) -> BlockTemplate:
    return BlockTemplate(
        height=part.height,
        version=part.version,
        previous_block=_number(part.previous_block),
        bits=part.bits,
        current_time=part.current_time,
        minimum_time=part.minimum_time,
        subsidy=part.subsidy,
        payments=tuple(part.payments),
        payment_amount=part.payment_amount,
        transactions=(),
        coinbase_flags=part.coinbase_flags,
        coinbase_payload=part.coinbase_payload,
        long_poll_id="",
        received=now - part.age,
        branch=tuple(part.branch),
        masternode_payments=part.masternode_payments,
    )


def _parent_part(parent: ParentContext) -> ParentPart:
    return ParentPart(
        previous_hash=_optional_hash(parent.previous_hash),
        height=parent.height,
        target_limit=pack_number(parent.target_limit),
        max_bits=parent.max_bits,
        previous_timestamp=parent.previous_timestamp,
        absheight=parent.absheight,
        previous_abswork=pack_number(parent.previous_abswork),
        far_share_hash=_optional_hash(parent.far_share_hash),
        weights_start=_optional_hash(parent.weights_start),
        weights_length=parent.weights_length,
        abswork_modulus=pack_number(parent.abswork_modulus),
    )


def _parent(part: ParentPart) -> ParentContext:
    return ParentContext(
        previous_hash=_optional_number(part.previous_hash),
        height=part.height,
        target_limit=parse_number(part.target_limit),
        max_bits=part.max_bits,
        previous_timestamp=part.previous_timestamp,
        absheight=part.absheight,
        previous_abswork=parse_number(part.previous_abswork),
        far_share_hash=_optional_number(part.far_share_hash),
        weights_start=_optional_number(part.weights_start),
        weights_length=part.weights_length,
        abswork_modulus=parse_number(part.abswork_modulus),
    )


def _aux_part(work: AuxWork) -> AuxPart:
    return AuxPart(chain_id=work.chain_id, hash=_hash(work.hash), target=_hash(work.target))


def _commitment(parts: list[AuxPart]) -> AuxCommitment | None:
    try:
        return commit_to(AuxWork(part.chain_id, _number(part.hash), _number(part.target)) for part in parts)
    except ValueError as error:
        raise ParseError(f"auxiliary blocks that cannot be committed to: {error}") from None


def _hash(value: int) -> bytes:
    return value.to_bytes(32, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _optional_hash(value: int | None) -> bytes | None:
    return None if value is None else _hash(value)


def _optional_number(data: bytes | None) -> int | None:
    return None if data is None else _number(data)
