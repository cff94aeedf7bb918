"""What this node mints is what c2pool-dash rebuilds: whatever templates name as payees, and whoever is paid."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.address import encode_address, payee_script
from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import parse_template
from p2pool.jobs.context import build_work_context, require_outputs
from p2pool.jobs.job import Job
from p2pool.node import Node, NodeSettings
from p2pool.pool_stats import PoolStats
from p2pool.share.donation import DONATION_KEY_HASH
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import PayeeFields
from p2pool.share.share import Share
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.tracker import Tracker
from p2pool.simnet.economy import Economy
from p2pool.simnet.parameters import EASIEST_BITS, ChainRules
from tests.chains import NOW, easy_network
from tests.environment import PostponingReactor, make_environment
from tests.logged import logged
from tests.share.c2pool_rules import accepts, coinbase_outputs, rebuilt_outputs
from tests.support import TESTS, capture, make_template

NETWORK = easy_network(40)
VERSIONS = NETWORK.parent.addresses
KEYS = [bytes([number]) * 20 for number in range(1, 6)]
OPERATOR = b"\xaa" * 20
TEMPLATES = sorted(
    path.stem
    for path in (TESTS / "captures").glob("*getblocktemplate*.json")
    if isinstance((json.loads(path.read_text())["response"] or {}).get("result"), dict)
)


def mint(
    tracker: Tracker, best: int | None, template: BlockTemplate, key: bytes, donation: int = 655
) -> tuple[Share, bytes]:
    """(the next share, its generation transaction) by our own generation."""
    context = build_work_context(tracker, best, template=template, network=tracker.network, now=NOW)
    time = int(NOW) + tracker.network.share_period * len(tracker)
    return solve(
        Job(
            context,
            PayeeFields(key, donation, 0, 7),
            desired_target=2**256 - 1,
            share_timestamp=time,
            header_timestamp=template.current_time,
        )
    )


def solve(job: Job) -> tuple[Share, bytes]:
    outcomes = (
        job.check(bytes(8), timestamp=job.timestamp, nonce=nonce, version=job.version) for nonce in range(1 << 16)
    )
    outcome = next(outcome for outcome in outcomes if outcome.meets_share)
    return outcome.share(), outcome.gentx


class Chain:
    """A chain of our own making; each share is held to c2pool's rebuilding, if that is asked for."""

    def __init__(self) -> None:
        self.tracker = Tracker(NETWORK)
        self.best: int | None = None

    def add(self, template: BlockTemplate, key: bytes, donation: int = 655, accepted: bool | None = True) -> Share:
        share, gentx = mint(self.tracker, self.best, template, key, donation)
        self.tracker.check(share)
        if accepted is not None:
            assert accepts(share, gentx, self.tracker) is accepted
        self.tracker.add(share, NOW)
        self.tracker.trust(share.hash)
        self.best = share.hash
        return share

    def grown(self, *keys: bytes, **choices) -> Chain:
        for key in keys:
            self.add(make_template(), key, **choices)
        return self


def test_there_are_templates_to_look_at():
    assert len(TEMPLATES) > 15


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_captured_template_makes_a_share_that_is_rebuilt(name):
    template = parse_template(capture(name)["response"]["result"], VERSIONS, NOW)
    chain = Chain().grown(*KEYS, *KEYS)
    share = chain.add(template, KEYS[0])
    assert share.payments == template.payments
    assert sum(amount for _, amount in share.payments) == share.payment_amount == template.payment_amount
    assert all(amount and payee_script(payee, VERSIONS) for payee, amount in share.payments)


@pytest.mark.parametrize("owners", [1, 2, 8])
@pytest.mark.parametrize("height", range(200, 216))
def test_every_economy_of_the_simulation_does(height, owners):
    """Platform outputs, keys and scripts, several owners and an operator, superblocks."""
    economy = Economy(ChainRules(VERSIONS, 60.0, EASIEST_BITS, 5, 16, 0, v24_height=205, owner_payouts=owners))
    payees = [*economy.masternode_payees(height, 12_345), *economy.superblock_payees(height)]
    answer = capture("60_getblocktemplate_with_masternodes_and_txs_empty_obj")["response"]["result"] | {
        "coinbasevalue": economy.coinbase_value(height, 12_345),
        "masternode": [{"payee": p.payee, "script": p.script.hex(), "amount": p.amount} for p in payees],
        "superblock": [],
    }
    share = Chain().grown(*KEYS, *KEYS).add(parse_template(answer, VERSIONS, NOW), KEYS[1])
    assert len(share.payments) == len(payees)


ENTRIES = [
    {"payee": "", "script": "6a"},
    {"payee": None, "script": "6A28" + "00" * 40},
    {"payee": "no address", "script": "51"},
    {"payee": encode_address(76, KEYS[0]), "script": "76a914" + KEYS[0].hex() + "88ac"},
    {"payee": encode_address(140, KEYS[0])},
    {"payee": encode_address(19, KEYS[0])},
    {"payee": "script:51", "script": "51"},
    {"payee": "!51", "script": "52"},
    {"payee": "", "script": "6a4d2c01" + "00" * 300},
    {"payee": "", "script": "76a914" + DONATION_KEY_HASH.hex() + "88ac"},
]
"""Everything that a template could name as a payee and that can be paid."""


@pytest.mark.parametrize("seed", range(12))
def test_any_payees_that_can_be_paid_do_in_any_order_and_with_nothing_to_pay_among_them(seed):
    rng = random.Random(seed)
    entries = [dict(rng.choice(ENTRIES), amount=rng.choice([0, 1, 7, 10**8])) for _ in range(rng.randrange(1, 8))]
    entries.append({"payee": "garbage", "amount": 0})
    answer = capture(TEMPLATES[-1])["response"]["result"] | {
        "masternode": entries,
        "superblock": [],
        "coinbasevalue": 10**9,
    }
    share = Chain().grown(*KEYS).add(parse_template(answer, VERSIONS, NOW), KEYS[0])
    assert len(share.payments) == sum(1 for entry in entries if entry["amount"])


@pytest.mark.parametrize(
    "entry",
    [
        {"payee": "garbage"},
        {"payee": ""},
        {"payee": "script:6a"},
        {"payee": encode_address(76, KEYS[0])},
        {"payee": "!"},
        {"payee": " " + encode_address(140, KEYS[0])},
    ],
)
def test_what_cannot_be_paid_is_no_work_with_the_reason(entry):
    """dashd refuses a block without the payment, and c2pool-dash a share that names it."""
    answer = capture(TEMPLATES[-1])["response"]["result"] | {
        "masternode": [entry | {"amount": 5}],
        "superblock": [],
    }
    with pytest.raises(ParseError, match="bad-cb-payee"):
        parse_template(answer, VERSIONS, NOW)


@pytest.mark.parametrize("payment", [("", 5), ("garbage", 5), ("script:6a", 5), ("!6a", 0)])
def test_a_share_with_a_payment_that_is_skipped_is_valid_and_refused_there(payment):
    template = make_template(payments=(payment,), payment_amount=payment[1])
    Chain().grown(*KEYS).add(template, KEYS[0], accepted=False)


@pytest.mark.parametrize("payment", [("", 5), ("garbage", 5), ("script:6a", 5), ("!6a", 0)])
def test_the_node_makes_no_work_of_such_a_template(payment):
    home = Minting()
    with logged() as log:
        home.node.set_template(make_template(payments=(("!6a", 1), payment), payment_amount=6))
    assert home.node.context is None
    assert "1 of the template's payments cannot be made outputs" in (home.node.work_problem or "")
    assert len(log.lines) == 1


# --- who is paid -------------------------------------------------------------------------------------------------


def test_a_worker_who_is_also_a_masternode_has_two_outputs():
    template = make_template(
        payments=((encode_address(140, KEYS[0]), 1000), ("!76a914" + KEYS[1].hex() + "88ac", 500)),
        payment_amount=1500,
    )
    chain = Chain().grown(*KEYS, *KEYS)
    share = chain.add(template, KEYS[0])
    _, outputs = rebuilt_outputs(share, chain.tracker)
    for key in KEYS[:2]:
        assert sum(script == b"\x76\xa9\x14" + key + b"\x88\xac" for script, _ in outputs) == 2


@pytest.mark.parametrize("subsidy", [0, 1, 49, 50, 99, 2500, 50_000_000_000])
@pytest.mark.parametrize("donation", [0, 655, 65534, WEIGHT_UNIT])
def test_amounts_down_to_nothing_equal_ones_and_all_donations(subsidy, donation):
    chain = Chain().grown(*KEYS, *KEYS, donation=donation)
    chain.add(make_template(subsidy=subsidy), KEYS[2], donation)
    chain.add(make_template(subsidy=subsidy), OPERATOR, donation)


def test_more_outputs_than_one_byte_counts():
    network = replace(NETWORK, chain_length=400, real_chain_length=400)
    chain = Chain()
    chain.tracker = Tracker(network)
    rng = random.Random(1)
    for number in range(260):
        chain.add(make_template(), rng.randbytes(20), accepted=None if number < 259 else True)
    payments = tuple(("!6a" + bytes([n]).hex(), 1) for n in range(20))
    share = chain.add(make_template(payments=payments, payment_amount=20), KEYS[0])
    assert rebuilt_outputs(share, chain.tracker)[0] > 252


# --- the donation's address --------------------------------------------------------------------------------------


def test_a_finder_who_is_the_donation_and_all_that_its_share_is_in_the_window_of_are_refused_there():
    """Valid by the rules of the share chain: the donation output gets it."""
    chain = Chain().grown(*KEYS)
    chain.add(make_template(), DONATION_KEY_HASH, accepted=False)
    chain.add(make_template(), KEYS[0])  # the window begins below the parent
    for _ in range(NETWORK.chain_length - 1):
        chain.add(make_template(), KEYS[0], accepted=False)
    chain.add(make_template(), KEYS[0])


def test_with_a_donation_of_all_only_its_own_share_is_refused_there():
    chain = Chain().grown(*KEYS)
    chain.add(make_template(), DONATION_KEY_HASH, WEIGHT_UNIT, accepted=False)
    chain.grown(*KEYS)


class Minting:
    """A node over a chain of our making."""

    def __init__(
        self, operator: bytes | None = OPERATOR, fee: float = 0.0, keys: tuple[bytes, ...] = tuple(KEYS)
    ) -> None:
        self.chain = Chain().grown(*keys, accepted=None)
        self.node = Node(
            make_environment(PostponingReactor(lambda call: None), clock=lambda: NOW),
            NETWORK,
            tracker=self.chain.tracker,
            settings=NodeSettings(lambda: operator, fee, 655),
            stats=PoolStats(NOW),
        )
        self.node.best_share = self.chain.best

    def share(self, key: bytes) -> Share | None:
        """The next share for a miner; c2pool-dash must take it."""
        self.node.set_template(make_template())
        job = self.node.make_job(key, None)
        if job is None:
            return None
        share, gentx = solve(job)
        assert accepts(share, gentx, self.chain.tracker)
        return share


@pytest.mark.parametrize(
    ("operator", "fee", "miner", "paid"),
    [
        (OPERATOR, 0.0, KEYS[0], (KEYS[0], 655)),
        (OPERATOR, 100.0, KEYS[0], (OPERATOR, 655)),
        (None, 100.0, KEYS[0], (KEYS[0], 655)),
        (OPERATOR, 0.0, DONATION_KEY_HASH, (OPERATOR, WEIGHT_UNIT)),
        (OPERATOR, 100.0, DONATION_KEY_HASH, (OPERATOR, 655)),  # the fee
        (None, 0.0, DONATION_KEY_HASH, (KEYS[-1], WEIGHT_UNIT)),  # the best share's
        (DONATION_KEY_HASH, 100.0, KEYS[0], (KEYS[0], WEIGHT_UNIT)),  # the fee is a donation
        (DONATION_KEY_HASH, 0.0, KEYS[0], (KEYS[0], 655)),
        (DONATION_KEY_HASH, 100.0, DONATION_KEY_HASH, (KEYS[-1], WEIGHT_UNIT)),
        (DONATION_KEY_HASH, 0.0, DONATION_KEY_HASH, (KEYS[-1], WEIGHT_UNIT)),
    ],
)
def test_whoever_gives_the_donations_address_is_paid_by_a_donation_of_all(operator, fee, miner, paid):
    share = Minting(operator, fee).share(miner)
    assert (share.pubkey_hash, share.donation) == paid


def test_shares_of_others_that_pay_it_are_passed_over_for_the_key():
    home = Minting(None, keys=(*KEYS[:2], DONATION_KEY_HASH))
    home.node.set_template(make_template())
    assert home.node.make_job(DONATION_KEY_HASH, None).key_hash == KEYS[1]


def test_without_any_other_key_there_is_no_work_for_it():
    assert Minting(None, keys=()).share(DONATION_KEY_HASH) is None


def test_it_pays_the_donation_what_its_own_key_would_have_but_for_the_finders_part():
    """From the share after next on, and exactly."""
    plain, ours = Chain().grown(*KEYS), Chain().grown(*KEYS)
    plain.add(make_template(), DONATION_KEY_HASH, accepted=False)
    ours.add(make_template(), OPERATOR, WEIGHT_UNIT)
    plain.grown(KEYS[0])
    ours.grown(KEYS[0])
    told = []
    for chain in (plain, ours):
        _, gentx = mint(chain.tracker, chain.best, make_template(), KEYS[1])
        told.append(coinbase_outputs(gentx))
    assert told[0] == told[1]


def test_the_reason_for_no_work_is_a_rule_of_the_chain():
    with pytest.raises(ShareInvalid) as caught:
        require_outputs(make_template(payments=(("", 1),)), NETWORK)
    assert caught.value.reason is Reason.PAYEE_MALFORMED
