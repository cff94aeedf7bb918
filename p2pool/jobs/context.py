"""WorkContext: everything about the next share and block that does not depend on who is paid.

Built once for each tip and template. It is immutable and reaches back into nothing, so that handing out jobs
could move to other processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.auxpow import AuxCommitment
from p2pool.dash.script import coinbase_script
from p2pool.dash.target import target_to_average_attempts
from p2pool.dashd.template import BlockTemplate
from p2pool.networks.parameters import Network
from p2pool.share.chain_view import ChainView
from p2pool.share.generation import ShareData, ShareInfoPacker
from p2pool.share.payouts import PayoutTable, gentx_suffix, paid_payments
from p2pool.share.rules import (
    WEIGHT_UNIT,
    ParentContext,
    parent_context,
    reference_transactions,
)


@dataclass(frozen=True, slots=True)
class WorkContext:
    """The work that follows one share on one template."""

    network: Network
    template: BlockTemplate
    parent: ParentContext
    payouts: PayoutTable
    packer: ShareInfoPacker
    coinbase: bytes
    suffix: bytes
    """What follows the nonce in the generation transaction."""
    created: float
    """Our clock in Unix seconds."""
    aux: AuxCommitment | None = None
    """What the coinbase commits to of other chains; None without merged mining."""

    @property
    def tip(self) -> tuple[int, int | None]:
        """(parent block, parent share): where either differs, older work is stale."""
        return self.template.previous_block, self.parent.previous_hash


def build_work_context(
    view: ChainView,
    best_share: int | None,
    template: BlockTemplate,
    network: Network,
    now: float,
    aux: AuxCommitment | None = None,
) -> WorkContext:
    """Ask the chain once for all that jobs need.

    Raises ShareInvalid where the template cannot be put into a share (payees that exceed the subsidy).
    """
    paid = paid_payments(template.payments, network.parent.addresses)
    parent = parent_context(view, best_share, network)
    refs = reference_transactions(
        view, best_share, parent.height, [transaction.hash for transaction in template.transactions]
    )
    weights = view.weights(
        parent.weights_start,
        parent.weights_length,
        WEIGHT_UNIT * network.spread * target_to_average_attempts(template.target),
    )
    coinbase = coinbase_script(
        template.height, template.coinbase_flags, network.coinbase_extension, b"" if aux is None else aux.data
    )
    data = ShareData(
        previous_hash=best_share,
        coinbase=coinbase,
        coinbase_payload=template.coinbase_payload,
        subsidy=template.subsidy,
        payment_amount=template.payment_amount,
        payments=template.payments,
    )
    return WorkContext(
        network=network,
        template=template,
        parent=parent,
        payouts=PayoutTable(weights, template.subsidy, paid),
        packer=ShareInfoPacker(data, parent, refs),
        coinbase=coinbase,
        suffix=gentx_suffix(template.coinbase_payload),
        created=now,
        aux=aux,
    )
