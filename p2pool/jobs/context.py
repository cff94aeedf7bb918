"""WorkContext: everything about the next share and block that does not depend on who is paid.

Built once for each tip and template. It is immutable and reaches back into nothing, so that handing out jobs
could move to other processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.auxpow import AuxCommitment
from p2pool.dash.script import coinbase_script
from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.block_limits import Coinbase, fit_block, left_out_notice
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import ShareData, SharePacker
from p2pool.share.parent_context import ParentContext
from p2pool.share.payouts import Payouts, gentx_suffix, paid_payments
from p2pool.share.share import ChainView, ShareVersion
from p2pool.share.versions import MINTED
from p2pool.share.votes import own_vote


@dataclass(frozen=True, slots=True)
class WorkContext:
    """The work that follows one share on one template."""

    network: Network
    version: ShareVersion
    """What the share will be of."""
    template: BlockTemplate
    parent: ParentContext
    payouts: Payouts
    packer: SharePacker
    coinbase: bytes
    suffix: bytes
    """What follows the nonce in the generation transaction."""
    created: float
    """Our clock in Unix seconds."""
    aux: AuxCommitment | None = None
    """What the coinbase commits to of other chains; None without merged mining."""
    whole_template: BlockTemplate | None = None
    """What dashd gave, where `template` leaves transactions of it out."""
    refusal: str | None = None
    """Why dashd would refuse every block of this work, and what to do; None where it would not."""

    @property
    def left_out(self) -> int:
        """How many of dashd's transactions are left out so that the block fits."""
        whole = self.whole_template or self.template
        return len(whole.transactions) - len(self.template.transactions)

    @property
    def notice(self) -> str | None:
        """What people should know of what is left out; None for nothing."""
        return None if self.whole_template is None else left_out_notice(self.whole_template, self.template)

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
    previous: WorkContext | None = None,
    version: ShareVersion = MINTED,
) -> WorkContext:
    """Ask the chain once for all that jobs need. `previous` is the work before: where it is on the same template,
    it spares some of that.

    Raises ShareInvalid where the template cannot be put into a share (payees that exceed the subsidy).
    """
    paid = paid_payments(template.payments, network.parent.addresses)
    rules = version.rules
    parent = rules.parent_context(view, best_share, network)
    weights = version.weights(view, parent, template.target, network)
    coinbase = coinbase_script(
        template.height, template.coinbase_flags, network.coinbase_extension, b"" if aux is None else aux.data
    )
    suffix = gentx_suffix(template.coinbase_payload)
    payouts = version.payouts(weights, template.subsidy, paid)
    largest = Coinbase.largest(payouts, coinbase, suffix, bool(template.coinbase_payload))
    fit = fit_block(template, largest, _reusable(previous, template))
    whole, template = template, fit.template
    if template is not whole:  # with other fees, so other payments
        paid = paid_payments(template.payments, network.parent.addresses)
        payouts = version.payouts(weights, template.subsidy, paid)
    refs = rules.references(
        view, best_share, parent.height, [transaction.hash for transaction in template.transactions]
    )
    data = ShareData(
        previous_hash=best_share,
        coinbase=coinbase,
        coinbase_payload=template.coinbase_payload,
        subsidy=template.subsidy,
        payment_amount=template.payment_amount,
        payments=template.payments,
        desired_version=_own_vote(view, best_share),
    )
    return WorkContext(
        network=network,
        version=version,
        template=template,
        parent=parent,
        payouts=payouts,
        packer=version.codec.packer(data, parent, refs),
        coinbase=coinbase,
        suffix=suffix,
        created=now,
        aux=aux,
        whole_template=None if template is whole else whole,
        refusal=fit.refusal,
    )


def _own_vote(view: ChainView, best_share: int | None) -> int:
    parent = None if best_share is None else view.get(best_share)
    return own_vote(None if parent is None else parent.desired_version)


def require_outputs(template: BlockTemplate, network: Network) -> None:
    """Raise ShareInvalid unless each of the template's payments makes an output.

    By the rules of the share chain others are skipped; c2pool-dash counts them as outputs all the same, and
    refuses shares that contain one. `parse_template` makes none.
    """
    skipped = len(template.payments) - paid_payments(template.payments, network.parent.addresses).count
    if skipped:
        raise ShareInvalid(Reason.PAYEE_MALFORMED, f"{skipped} of the template's payments would make no output")


def _reusable(previous: WorkContext | None, template: BlockTemplate) -> BlockTemplate | None:
    """What the work before left of the same template."""
    return previous.template if previous is not None and previous.whole_template is template else None
