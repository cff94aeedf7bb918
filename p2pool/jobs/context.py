"""WorkContext: everything about the next share and block that does not depend on the payee.

It is built once for each tip and template. It is immutable and refers to nothing that changes, so jobs could be
made in other processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pool.dash.auxpow import AuxCommitment
from p2pool.dash.script import coinbase_script
from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.block_limits import Coinbase, fit_block, left_out_notice
from p2pool.jobs.coinbases import Coinbases
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import ShareData, SharePacker
from p2pool.share.parent_context import ParentContext, TransactionRefs
from p2pool.share.payouts import Payouts, gentx_suffix, paid_payments
from p2pool.share.share import ChainView, ShareVersion
from p2pool.share.versions import MINTED
from p2pool.share.votes import own_vote
from p2pool.share.weights import Weights

_FIXED_SIZE = 4096


@dataclass(frozen=True, slots=True)
class WorkContext:
    """The work that follows one share on one template."""

    network: Network
    version: ShareVersion
    """The version of the share."""
    template: BlockTemplate
    parent: ParentContext
    payouts: Payouts
    share_data: ShareData
    refs: TransactionRefs
    """How the share names the template's transactions."""
    packer: SharePacker
    """Made of `share_data`, `parent` and `refs`."""
    coinbase: bytes
    suffix: bytes
    """The part of the generation transaction after the nonce."""
    created: float
    """When it was built, by this machine's clock, in Unix seconds."""
    aux: AuxCommitment | None = None
    """The commitment of the coinbase to blocks of auxiliary chains; None without merged mining."""
    whole_template: BlockTemplate | None = None
    """The template of dashd if `template` leaves out some of its transactions, else None."""
    refusal: str | None = None
    """Why dashd would reject every block of this work, and what to do; None if it would not."""
    transactions_key: bytes = b""
    """What names the template's transactions if the template comes without them, for a gateway; else empty."""
    coinbases: Coinbases = field(init=False, repr=False, compare=False)
    """Made of `payouts` and `coinbase`."""
    previous_block_bytes: bytes = field(init=False, repr=False, compare=False)
    """The previous block as it is in a header."""

    def __post_init__(self) -> None:
        made = Coinbases(self.payouts, coinbase=self.coinbase, has_payload=bool(self.template.coinbase_payload))
        object.__setattr__(self, "coinbases", made)
        object.__setattr__(self, "previous_block_bytes", self.template.previous_block.to_bytes(32, "little"))

    def makes_worthless(self, former: WorkContext) -> bool:
        """Return whether what is found on the former work is dead now, or a block with a coinbase payload of other
        rules."""
        return self.tip != former.tip or self.template.payload_version != former.template.payload_version

    @property
    def left_out(self) -> int:
        """Return how many of dashd's transactions are left out so that the block fits."""
        whole = self.whole_template or self.template
        return len(whole.transactions) - len(self.template.transactions)

    @property
    def notice(self) -> str | None:
        """Return a text for people about the transactions that are left out; None if none are."""
        return None if self.whole_template is None else left_out_notice(self.whole_template, self.template)

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes, without the transactions themselves, which the templates
        of one block share. An output takes four times its bytes: its script, its amount and its place besides."""
        listed = 50 * len(self.template.transactions) + 100 * len(self.refs.refs)
        return _FIXED_SIZE + 4 * self.coinbases.size + listed

    @property
    def tip(self) -> tuple[int, int | None]:
        """Return (previous block, previous share): if either changes, older work is stale."""
        return self.template.previous_block, self.parent.previous_hash


def build_work_context(
    view: ChainView,
    best_share: int | None,
    *,
    template: BlockTemplate,
    network: Network,
    now: float,
    aux: AuxCommitment | None = None,
    previous: WorkContext | None = None,
    version: ShareVersion = MINTED,
) -> WorkContext:
    """Return the work that follows `best_share`: the chain is asked once for everything that jobs need. `previous`
    is the work before; if it is on the same template, parts of it are reused.

    Raises ShareInvalid if the template does not fit into a share (payees that exceed the subsidy).
    """
    paid = paid_payments(template.payments, network.parent.addresses)
    rules = version.rules
    parent = rules.parent_context(view, best_share, network)
    weights = version.weights(view, parent, block_target=template.target, network=network)
    coinbase = _coinbase(template, network, aux)
    suffix = gentx_suffix(template.coinbase_payload)
    payouts = version.payouts(weights, template.subsidy, paid)
    largest = Coinbase.largest(
        payouts, script=coinbase, suffix=suffix, has_payload=bool(template.coinbase_payload)
    )
    fit = fit_block(template, largest, _reusable(previous, template))
    whole, template = template, fit.template
    if template is not whole:  # with other fees, so other payments
        paid = paid_payments(template.payments, network.parent.addresses)
        payouts = version.payouts(weights, template.subsidy, paid)
    refs = rules.references(
        view, best_share, height=parent.height, wanted=[transaction.hash for transaction in template.transactions]
    )
    data = _share_data(template, best_share, coinbase=coinbase, vote=_own_vote(view, best_share))
    return WorkContext(
        network=network,
        version=version,
        template=template,
        parent=parent,
        payouts=payouts,
        share_data=data,
        refs=refs,
        packer=version.codec.packer(data, parent, refs),
        coinbase=coinbase,
        suffix=suffix,
        created=now,
        aux=aux,
        whole_template=None if template is whole else whole,
        refusal=fit.refusal,
    )


def rebuild_work_context(
    *,
    network: Network,
    version: ShareVersion,
    template: BlockTemplate,
    parent: ParentContext,
    weights: Weights,
    refs: TransactionRefs,
    desired_version: int,
    aux: AuxCommitment | None,
    now: float,
    transactions_key: bytes,
) -> WorkContext:
    """Return the context that `build_work_context` made elsewhere, from what it asked the chain for. `template` is
    the one that fits into a block, without its transactions, which `transactions_key` names.

    Raises ShareInvalid if the parts do not make a share.
    """
    coinbase = _coinbase(template, network, aux)
    data = _share_data(template, parent.previous_hash, coinbase=coinbase, vote=desired_version)
    return WorkContext(
        network=network,
        version=version,
        template=template,
        parent=parent,
        payouts=version.payouts(
            weights, template.subsidy, paid_payments(template.payments, network.parent.addresses)
        ),
        share_data=data,
        refs=refs,
        packer=version.codec.packer(data, parent, refs),
        coinbase=coinbase,
        suffix=gentx_suffix(template.coinbase_payload),
        created=now,
        aux=aux,
        transactions_key=transactions_key,
    )


def _share_data(template: BlockTemplate, previous_share: int | None, *, coinbase: bytes, vote: int) -> ShareData:
    return ShareData(
        previous_hash=previous_share,
        coinbase=coinbase,
        coinbase_payload=template.coinbase_payload,
        subsidy=template.subsidy,
        payment_amount=template.payment_amount,
        payments=template.payments,
        desired_version=vote,
    )


def _coinbase(template: BlockTemplate, network: Network, aux: AuxCommitment | None) -> bytes:
    commitment = b"" if aux is None else aux.data
    return coinbase_script(
        template.height, template.coinbase_flags, network.coinbase_extension, commitment=commitment
    )


def _own_vote(view: ChainView, best_share: int | None) -> int:
    parent = None if best_share is None else view.get(best_share)
    return own_vote(None if parent is None else parent.desired_version)


def require_outputs(template: BlockTemplate, network: Network) -> None:
    """Raise ShareInvalid unless each of the template's payments makes an output.

    By the rules of the share chain, payments without an output are skipped; c2pool-dash counts them as outputs all
    the same, and rejects shares that contain one. `parse_template` makes none.
    """
    skipped = len(template.payments) - paid_payments(template.payments, network.parent.addresses).count
    if skipped:
        raise ShareInvalid(Reason.PAYEE_MALFORMED, f"{skipped} of the template's payments cannot be made outputs")


def _reusable(previous: WorkContext | None, template: BlockTemplate) -> BlockTemplate | None:
    """Return the shortened template of the work before if it was made from the same template, else None."""
    return previous.template if previous is not None and previous.whole_template is template else None
