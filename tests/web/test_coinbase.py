"""The coinbase that proves who would get what: the one of the jobs, the amounts of the list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.dash.script import coinbase_height, p2pkh_script
from p2pool.dash.transaction import parse_transaction
from p2pool.share import payouts as shared_out
from p2pool.share.payouts import DONATION_SCRIPT
from p2pool.web.api import coinbase
from p2pool.web.sources import script_to_text
from tests.chains import grow_chain
from tests.support import make_template
from tests.web.pages import Pool

OWN = b"\x01" * 20
SUBSIDY = 50_000_000_000
PAYLOAD = bytes.fromhex("0100c8000000") + b"\x07" * 32
MASTERNODE = "76a914" + "5a" * 20 + "88ac"


def paying_template(**changes):
    payments = (("!" + MASTERNODE, 7_000_000_000), ("!6a", 3_000_000_000))
    return make_template(
        subsidy=SUBSIDY, payments=payments, payment_amount=10_000_000_000, coinbase_payload=PAYLOAD, **changes
    )


@pytest.fixture(scope="module")
def pool() -> Pool:
    pool = Pool(40, paying_template())
    pool.refresh()
    return pool


def told_by(pool: Pool):
    return pool.ask("/api/v1/coinbase").json


def by_address(outputs, part) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for each in outputs:
        duffs = part(each)
        if duffs:
            amounts[each["address"]] = amounts.get(each["address"], 0) + duffs
    return amounts


def test_it_is_the_coinbase_of_the_node_s_own_jobs(pool):
    job, whole = pool.node.make_job(OWN, None), bytes.fromhex(told_by(pool)["hex"])
    assert whole[: len(job.gentx_prefix)] == job.gentx_prefix
    assert whole[len(job.gentx_prefix) :] == bytes(40) + job.coinb2


def test_another_miner_s_job_differs_in_the_finder_s_part_only(pool):
    told = told_by(pool)
    key = pool.shares[-1].pubkey_hash
    job = pool.node.make_job(key, None)
    outputs = parse_transaction(job.coinb1 + bytes(8) + job.coinb2).outputs
    others = {output.script.hex(): output.value for output in outputs[:-1]}
    bonus = told["finder"]["amount"]["duffs"]
    for each in told["outputs"][:-1]:
        plain = each["amount"]["duffs"] - each["finder_part"]["duffs"]
        found_it = bonus if each["script"] == p2pkh_script(key).hex() else 0
        assert others.get(each["script"], 0) == plain + found_it


def test_the_amounts_are_those_of_the_list_of_payouts(pool):
    told, listed = told_by(pool), pool.ask("/api/v1/payouts").json
    miners = [each for each in told["outputs"] if each["kind"] in ("miner", "donation")]
    paid = by_address(miners, lambda each: each["amount"]["duffs"] - each["finder_part"]["duffs"])
    assert len(paid) > 3
    rows = {row["address"]: row["in_coinbase"]["duffs"] for row in listed["payouts"]}
    assert {address: duffs for address, duffs in rows.items() if duffs} == paid
    assert listed["finder"] == told["finder"]["amount"]
    assert sum(rows.values()) + listed["finder"]["duffs"] == listed["total"]["duffs"]
    # What is told to be got on average comes to the same in the end.
    for row in listed["payouts"]:
        assert row["in_coinbase"]["duffs"] == pytest.approx(row["amount"]["duffs"] * 0.98, rel=0.15, abs=1)


@pytest.mark.parametrize("version", [3, 4, 999])
def test_ten_payments_of_masternode_and_platform_and_any_payload(version):
    """As from Dash Core 24 on: the platform, eight owners, an operator; what the payload says is not read."""
    payload = version.to_bytes(2, "little") + b"\x07" * 300
    scripts = [f"76a914{number:02x}{'5a' * 19}88ac" for number in range(8)]
    payments = (("!6a", 3_000_000_000), *(("!" + script, 800_000_000 + i) for i, script in enumerate(scripts)))
    payments += (("!a914" + "5b" * 20 + "87", 5),)
    amount = sum(duffs for _, duffs in payments)
    template = make_template(
        subsidy=SUBSIDY, payments=payments, payment_amount=amount, coinbase_payload=payload, masternode_payments=10
    )
    pool = Pool(5, template)
    pool.refresh()
    told = told_by(pool)
    chain = [each for each in told["outputs"] if each["kind"] in ("credit_pool", "masternode")]
    assert [("!" + each["script"], each["amount"]["duffs"]) for each in chain] == list(payments)
    assert [each["kind"] for each in chain] == ["credit_pool", *["masternode"] * 9]
    [part] = [part for part in told["parts"] if part["name"] == "payload"]
    shown = told["hex"][2 * part["from"] :]
    assert len(shown) == 2 * part["length"]
    assert shown.endswith(payload.hex())


def test_every_duff_of_the_block_is_reported(pool):
    told = told_by(pool)
    assert sum(each["amount"]["duffs"] for each in told["outputs"]) == told["total"]["duffs"] == SUBSIDY
    outputs = parse_transaction(bytes.fromhex(told["hex"])).outputs
    assert [(o.script.hex(), o.value) for o in outputs] == [
        (each["script"], each["amount"]["duffs"]) for each in told["outputs"]
    ]


def test_who_they_are(pool):
    told = told_by(pool)
    kinds = [each["kind"] for each in told["outputs"]]
    assert kinds == ["miner"] * 4 + ["masternode", "credit_pool", "donation", "commitment"]
    assert told["outputs"][4]["script"] == MASTERNODE
    assert told["outputs"][5]["address"] is None
    assert told["outputs"][6]["address"] == script_to_text(pool.node, DONATION_SCRIPT)
    (own,) = [each for each in told["outputs"] if each["own"]]
    assert own["address"] == told["finder"]["address"] == script_to_text(pool.node, p2pkh_script(OWN))
    assert own["finder_part"] == own["amount"] == told["finder"]["amount"]
    assert told["finder"]["amount"]["duffs"] == (SUBSIDY - 10_000_000_000) // 50


def test_a_finder_who_is_a_miner_has_both_in_one_output(pool):
    key = pool.shares[0].pubkey_hash
    richer = Pool(40, paying_template())
    richer.payouts.addresses = (replace(richer.payouts.newest, key_hash=key),)
    richer.refresh()
    told = told_by(richer)
    (own,) = [each for each in told["outputs"] if each["own"]]
    assert own["amount"]["duffs"] > own["finder_part"]["duffs"] == told["finder"]["amount"]["duffs"]
    assert [each["kind"] for each in told["outputs"]].count("miner") == 3


def test_its_parts_have_no_gaps(pool):
    told = told_by(pool)
    whole, at = bytes.fromhex(told["hex"]), 0
    for part in told["parts"]:
        assert part["from"] == at
        at += part["length"]
    assert at == len(whole)
    parts = {part["name"]: whole[part["from"] : part["from"] + part["length"]] for part in told["parts"]}
    assert parts["version"] == bytes.fromhex("03000500")
    assert parts["script"][0] == len(parts["script"]) - 1
    assert coinbase_height(parts["script"][1:]) == told["height"] == 200
    assert parts["sequence"] == b"\xff" * 4
    assert parts["ref_hash"] == bytes(32)
    assert parts["nonce"] == bytes(8)
    assert parts["payload"] == bytes([len(PAYLOAD)]) + PAYLOAD
    assert "payload" not in [part["name"] for part in without_payload().json["parts"]]


def without_payload():
    pool = Pool(3, make_template())
    pool.refresh()
    return pool.ask("/api/v1/coinbase")


def test_it_is_made_once_for_each_work(monkeypatch):
    pool, made = Pool(12, paying_template()), []
    real = shared_out.gentx_prefix
    monkeypatch.setattr(
        coinbase, "gentx_prefix", lambda *given, **named: (made.append(1), real(*given, **named))[1]
    )
    for _ in range(3):
        pool.now += 1
        pool.refresh()
        for _ in range(3):
            told_by(pool)
    assert len(made) == 1
    before = told_by(pool)
    pool.node.set_template(paying_template(height=201, previous_block=0xABCE))
    pool.refresh()
    assert len(made) == 2
    assert told_by(pool)["height"] == before["height"] + 1


def test_a_new_best_share_makes_another(pool):
    other = Pool(12, paying_template())
    other.refresh()
    before = told_by(other)
    (share,) = grow_chain(other.tracker, paying_template(), 1, 1, other.shares[-1].hash, seed=5)
    other.node.best_share = share.hash
    other.node.renew_work()
    other.refresh()
    after = told_by(other)
    assert after["parent_share"] == f"{share.hash:064x}" != before["parent_share"]
    assert after["hex"] != before["hex"]


def test_without_work_there_is_none():
    pool = Pool(12, paying_template())
    pool.node.may_work = lambda: "no peers"
    pool.node.renew_work()
    pool.refresh()
    assert told_by(pool) is None
    listed = pool.ask("/api/v1/payouts").json
    assert listed["finder"] is None
    assert {row["in_coinbase"] for row in listed["payouts"]} == {None}


def test_who_is_in_the_coinbase_only_is_listed_too(pool, monkeypatch):
    """The two windows begin at different shares: at their far ends there may be others."""
    monkeypatch.setattr("p2pool.web.api.payouts.payout_amounts", lambda node: {})
    other = Pool(12, paying_template())
    other.refresh()
    rows = other.ask("/api/v1/payouts").json["payouts"]
    assert len(rows) == 4
    assert all(row["part"] == 0 and row["in_coinbase"]["duffs"] > 0 for row in rows)
