"""Templates: what a real Dash Core answers, exactly, and nothing but ParseError for what it would never answer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.address import payee_script
from p2pool.dash.hashes import sha256d, sha256d_int
from p2pool.dash.merkle import coinbase_branch, merkle_root, walk_branch
from p2pool.dash.transaction import parse_transaction
from p2pool.dashd import template_parsing
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.dashd.template_parsing import TransactionCache, decode_ahead, parse_template
from p2pool.networks import DASH, DASH_REGTEST
from tests.dash import asset_unlock
from tests.support import TESTS, capture, make_template

VERSIONS = DASH_REGTEST.parent.addresses
NOW = 1_795_340_200.5
CAPTURES = sorted(
    path.stem
    for path in (TESTS / "captures").glob("*getblocktemplate*.json")
    if isinstance((capture(path.stem)["response"] or {}).get("result"), dict)
)
MATCHED = "61_matched_1_getblocktemplate"
SUPERBLOCK = "71_regtest_getblocktemplate_superblock"


def answer_of(name: str) -> dict[str, Any]:
    return capture(name)["response"]["result"]


def parsed(name: str, **changes: Any) -> BlockTemplate:
    return parse_template(answer_of(name) | changes, VERSIONS, NOW)


# --- what Dash Core answers ------------------------------------------------------------------------------


def test_there_are_templates_among_the_captures():
    assert len(CAPTURES) > 15


@pytest.mark.parametrize("name", CAPTURES)
def test_each_capture_says_what_it_says(name):
    answer = answer_of(name)
    template = parse_template(answer, VERSIONS, NOW)
    assert template.height == answer["height"]
    assert template.version == answer["version"]
    assert f"{template.previous_block:064x}" == answer["previousblockhash"]
    assert f"{template.bits:08x}" == answer["bits"]
    assert f"{template.target:064x}" == answer["target"]
    assert (template.current_time, template.minimum_time) == (answer["curtime"], answer["mintime"])
    assert template.subsidy == answer["coinbasevalue"]
    assert template.coinbase_payload.hex() == answer["coinbase_payload"]
    assert template.coinbase_flags == b""
    assert template.long_poll_id == answer["longpollid"]
    assert template.received == NOW
    assert [t.data.hex() for t in template.transactions] == [t["data"] for t in answer["transactions"]]
    assert [f"{t.hash:064x}" for t in template.transactions] == [t["hash"] for t in answer["transactions"]]
    assert template.fees == sum(t["fee"] for t in answer["transactions"])


@pytest.mark.parametrize("name", CAPTURES)
def test_each_capture_pays_the_scripts_that_it_demands(name):
    """Through the text that a share carries, in order, to the duff."""
    answer = answer_of(name)
    demanded = [(bytes.fromhex(e["script"]), e["amount"]) for e in answer["masternode"] + answer["superblock"]]
    template = parse_template(answer, VERSIONS, NOW)
    assert [(payee_script(payee, VERSIONS), amount) for payee, amount in template.payments] == demanded
    assert template.payment_amount == sum(amount for _, amount in demanded)


def test_burn_masternode_and_superblock():
    template = parsed(SUPERBLOCK)
    assert template.payments == (
        ("!6a", 104_464_285),
        ("ycX1KZUivCuG5yHdqvP417SyASfzojDoY5", 174_107_144),
        ("ydywNgvbn6jaHbD93cM5cmS95TNWftyjaK", 150_000_000),
        ("8xBG7VhUvPXhicxdHTAeHwztv77eySYoZ3", 225_000_000),
    )
    assert template.payment_amount == 653_571_429
    assert parsed("01_getblocktemplate_h151_pre_dip3").payments == ()
    assert parsed("01_getblocktemplate_h432_first_dip3_v20_mnrr").payments == (("!6a", 121_253_188),)


def test_the_template_of_a_block_that_was_accepted():
    """Payments, branch and payload lead to the coinbase and the merkle root of the block made from it."""
    template = parsed(MATCHED)
    raw = bytes.fromhex((TESTS / "captures" / "61_matched_2_coinbase.txt").read_text().strip())
    coinbase = parse_transaction(raw)
    block = capture("61_matched_3_getblock_verbosity2")["response"]["result"]
    paid = [(output.script, output.value) for output in coinbase.outputs[1:]]
    assert [(payee_script(payee, VERSIONS), amount) for payee, amount in template.payments] == paid
    assert coinbase.outputs[0].value == template.subsidy - template.payment_amount
    assert coinbase.extra_payload == template.coinbase_payload
    root = walk_branch(sha256d(raw), template.branch)
    assert root[::-1].hex() == block["merkleroot"]
    hashes = [sha256d_int(raw), *(transaction.hash for transaction in template.transactions)]
    assert f"{merkle_root(hashes):064x}" == block["merkleroot"]


# --- payees ----------------------------------------------------------------------------------------------

P2PKH = "76a914a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a188ac"
ADDRESS = "yb45GS2r4K4wtMN8eER2PTToFRyUzsehET"


@pytest.mark.parametrize(
    ("entry", "payee"),
    [
        ({"payee": ADDRESS, "script": P2PKH}, ADDRESS),
        ({"payee": ADDRESS}, ADDRESS),
        ({"payee": "", "script": "6a"}, "!6a"),
        ({"payee": None, "script": "6A"}, "!6a"),
        ({"script": P2PKH}, "!" + P2PKH),
        # What dashd checks is the script, whatever it calls the payee.
        ({"payee": ADDRESS, "script": "6a"}, "!6a"),
        ({"payee": "no address", "script": P2PKH}, "!" + P2PKH),
        ({"payee": "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u", "script": P2PKH}, "!" + P2PKH),
        ({"payee": "!51", "script": "6a"}, "!6a"),
        ({"payee": "script:51", "script": "6a"}, "!6a"),
        ({"payee": ADDRESS + "1" * 5, "script": "6a"}, "!6a"),
    ],
)
def test_payees(entry, payee):
    template = parsed(MATCHED, masternode=[entry | {"amount": 7}])
    assert template.payments == ((payee, 7),)
    assert template.payment_amount == 7


NOT_PAYABLE = [
    {"payee": "garbage"},
    {"payee": "garbage", "script": ""},
    {"payee": "", "script": ""},
    {"payee": None, "script": None},
    {},
    {"payee": ADDRESS[:-1] + "j"},
    {"payee": ADDRESS + "1" * 5},
    {"payee": "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u"},
    {"payee": "!" + P2PKH},
    {"payee": "script:" + P2PKH},
    {"payee": "x" * 10_000},
]


@pytest.mark.parametrize("entry", NOT_PAYABLE, ids=lambda entry: f"{entry!r:.40}")
@pytest.mark.parametrize("name", ["masternode", "superblock"])
def test_what_must_be_paid_and_cannot_be_is_never_passed_over(name, entry):
    with pytest.raises(ParseError) as error:
        parsed(MATCHED, **{name: [entry | {"amount": 1_234_567}]})
    assert name in str(error.value)
    assert "1234567 duffs" in str(error.value)
    assert "bad-cb-payee" in str(error.value)
    assert len(str(error.value)) < 300
    assert parsed(MATCHED, masternode=[entry | {"amount": 0}]).payments == ()


@pytest.mark.parametrize("value", ["", 0, False, "x", 5, ()])
@pytest.mark.parametrize("name", ["masternode", "superblock"])
def test_payees_in_a_form_that_is_not_known_are_never_passed_over(name, value):
    with pytest.raises(ParseError, match=name):
        parsed(MATCHED, **{name: value})


@pytest.mark.parametrize("field", ["payee", "script"])
@pytest.mark.parametrize("value", [0, False, [], {}])
def test_a_payee_or_script_that_is_no_text_is_malformed(field, value):
    with pytest.raises(ParseError, match="payee"):
        parsed(MATCHED, masternode=[{"payee": ADDRESS, "script": P2PKH, "amount": 5} | {field: value}])


def test_an_old_form_of_masternode_and_entries_without_amount():
    entry = {"payee": ADDRESS, "script": P2PKH, "amount": 9}
    assert parsed(MATCHED, masternode=entry).payments == ((ADDRESS, 9),)
    nothing = entry | {"amount": 0}
    assert parsed(MATCHED, masternode=[nothing], superblock=[entry]).payments == ((ADDRESS, 9),)
    for absent in (None, [], {}):
        assert parsed(MATCHED, masternode=absent, superblock=absent).payments == ()


def test_addresses_are_those_of_the_network():
    template = parse_template(answer_of(MATCHED), DASH.parent.addresses, NOW)
    assert template.payments[1] == ("!" + P2PKH, 174_326_359)


# --- other fields ----------------------------------------------------------------------------------------


def test_what_may_be_missing():
    answer = answer_of("01_getblocktemplate_h151_pre_dip3")
    for name in ("coinbaseaux", "coinbase_payload", "mintime", "longpollid", "masternode", "superblock"):
        del answer[name]
    template = parse_template(answer, VERSIONS, NOW)
    assert (template.coinbase_flags, template.coinbase_payload, template.long_poll_id) == (b"", b"", "")
    assert template.minimum_time == template.current_time


def test_flags_of_the_coinbase():
    assert parsed(MATCHED, coinbaseaux={"flags": "0102", "more": "03"}).coinbase_flags == b"\x01\x02\x03"


BAD = [
    *[(name, None) for name in ("transactions", "curtime", "height", "version", "coinbasevalue", "bits")],
    *[(name, True) for name in ("curtime", "height", "version", "coinbasevalue", "mintime")],
    *[(name, -1) for name in ("curtime", "height", "version", "coinbasevalue", "mintime")],
    *[(name, 2**63) for name in ("curtime", "height", "version", "coinbasevalue", "mintime")],
    ("height", 1.0),
    ("height", "616"),
    ("previousblockhash", None),
    ("previousblockhash", "00" * 31),
    ("previousblockhash", "zz" * 32),
    ("bits", "1d00ff"),
    ("bits", 0x1D00FFFF),
    ("bits", "00000000"),
    ("bits", "1d800001"),
    ("bits", "ff00ffff"),
    ("bits", "01000001"),
    ("longpollid", 5),
    ("coinbaseaux", []),
    ("coinbaseaux", {"flags": "x"}),
    ("coinbaseaux", {"flags": 1}),
    ("coinbase_payload", "0"),
    ("coinbase_payload", None),
    ("transactions", {}),
    ("transactions", [5]),
    ("transactions", [{}]),
    ("transactions", [{"data": "00", "hash": "00" * 31}]),
    ("transactions", [{"data": "00"}]),
    ("transactions", [{"data": "00", "hash": sha256d(b"\x00")[::-1].hex(), "fee": -5}]),
    ("transactions", [{"data": None, "hash": sha256d(b"\x00")[::-1].hex()}]),
    ("masternode", 5),
    ("masternode", ["x"]),
    ("masternode", [{"payee": ADDRESS, "script": P2PKH}]),
    ("masternode", [{"payee": ADDRESS, "script": P2PKH, "amount": "7"}]),
    ("masternode", [{"payee": ADDRESS, "script": P2PKH, "amount": -7}]),
    ("masternode", [{"payee": ADDRESS, "script": "zz", "amount": 7}]),
    ("masternode", [{"payee": ADDRESS, "script": 5, "amount": 7}]),
    ("masternode", [{"payee": ["x"], "script": P2PKH, "amount": 7}]),
    ("superblock", [{"payee": ADDRESS, "script": P2PKH, "amount": 371_835_071}]),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r:.40}" for name, value in BAD])
def test_a_malformed_field(name, value):
    with pytest.raises(ParseError) as error:
        parsed(MATCHED, **{name: value})
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("answer", [None, 5, "text", [], True])
def test_an_answer_that_is_no_object(answer):
    with pytest.raises(ParseError, match="not an object"):
        parse_template(answer, VERSIONS, NOW)


def test_too_many_transactions(monkeypatch):
    monkeypatch.setattr(template_parsing, "MAX_TRANSACTIONS", 13)
    with pytest.raises(ParseError, match="14 transactions"):
        parsed(MATCHED)


def test_an_answer_that_is_deeper_than_python_can_print():
    deep: list = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(ParseError):
        parse_template(deep, VERSIONS, NOW)  # type: ignore[arg-type]
    for name in ("height", "bits", "masternode", "transactions", "coinbaseaux", "coinbase_payload"):
        with pytest.raises(ParseError):
            parsed(MATCHED, **{name: deep})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of an answer."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        found += places(part, (*path, key))
    return found


SMALL = answer_of(SUPERBLOCK)
SMALL["transactions"] = SMALL["transactions"][:2]
PLACES = places(SMALL)[1:]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "delete", "cut"]), JSON), min_size=1))
def test_mutated_answers_are_templates_or_parse_errors(mutations):
    answer = copy.deepcopy(SMALL)
    for path, kind, value in mutations:
        part = answer
        try:
            for key in path[:-1]:
                part = part[key]
            old = part[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
        if isinstance(part, str):
            continue
        if kind == "delete":
            del part[path[-1]]
        else:
            part[path[-1]] = old[:-1] if kind == "cut" and isinstance(old, str | list) else value
    try:
        template = parse_template(answer, VERSIONS, NOW)
    except ParseError:
        return
    assert sum(amount for _, amount in template.payments) <= template.payment_amount <= template.subsidy
    assert 0 < template.target < 2**256
    for payee, _ in template.payments:
        assert payee_script(payee, VERSIONS)


# --- one template after another --------------------------------------------------------------------------


def test_known_transactions_are_taken_over_undecoded():
    known = TransactionCache()
    answer = answer_of(MATCHED)
    first = parse_template(answer, VERSIONS, NOW, known=known)
    for entry in answer["transactions"]:
        entry["data"] = "not decoded"
    second = parse_template(answer, VERSIONS, NOW, known=known)
    assert second == first
    assert all(a is b for a, b in zip(first.transactions, second.transactions, strict=True))
    assert second.branch is first.branch
    with pytest.raises(ParseError, match="data"):
        parse_template(answer, VERSIONS, NOW, known=TransactionCache())
    fewer = parse_template(answer | {"transactions": answer["transactions"][:5]}, VERSIONS, NOW, known=known)
    assert fewer.branch == parsed(MATCHED, transactions=answer_of(MATCHED)["transactions"][:5]).branch


def test_a_large_mempool_is_decoded_in_portions(monkeypatch):
    monkeypatch.setattr(template_parsing, "PORTION", 5)
    known, answer = TransactionCache(), answer_of(MATCHED)
    assert len(answer["transactions"]) == 14
    assert len(list(decode_ahead(answer, known))) == 2
    for entry in answer["transactions"]:
        entry["data"] = "not decoded again"
    assert parse_template(answer, VERSIONS, NOW, known=known) == parsed(MATCHED)
    assert list(decode_ahead(answer, known)) == []


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"transactions": 5}, {"transactions": [None, 5, {}, {"hash": 7}, {"hash": "zz"}]}]
)
def test_decoding_ahead_leaves_complaints_to_the_parser(answer):
    assert list(decode_ahead(answer, TransactionCache())) == []


def test_known_transactions_are_bounded_and_those_in_use_stay(monkeypatch):
    monkeypatch.setattr(template_parsing, "MAX_KNOWN", 10)
    known, used = TransactionCache(), TemplateTransaction(b"", b"", 0)
    known.add("used", used)
    for number in range(100):
        known.add(str(number), TemplateTransaction(b"", b"", number))
        assert known.get("used") is used
    assert known.get("5") is None
    assert len(known._new) + len(known._old) <= 21


# --- hashes ----------------------------------------------------------------------------------------------


def test_an_asset_unlock_of_dash_core_24_is_a_transaction_as_any_other():
    entries = [*answer_of(MATCHED)["transactions"], asset_unlock.ENTRY]
    template = parsed(MATCHED, transactions=entries)
    last = template.transactions[-1]
    assert (f"{last.hash:064x}", last.data) == (asset_unlock.HASH, asset_unlock.DATA)
    assert (last.fee, last.signature_operations) == (5000, 1)
    assert template.problems == ()
    hashes = [0, *(int(entry["hash"], 16) for entry in entries)]
    root = walk_branch(bytes(32), template.branch)
    assert merkle_root(hashes) == int.from_bytes(root, "little")


def test_a_hash_by_any_rule_is_believed():
    """A dashd that hashes all bytes knows what it does."""
    entry = asset_unlock.ENTRY | {"hash": asset_unlock.INSTANCE_HASH}
    template = parsed(MATCHED, transactions=[entry])
    assert [f"{t.hash:064x}" for t in template.transactions] == [asset_unlock.INSTANCE_HASH]
    assert (template.problems, template.refusal) == ((), None)


def test_a_withdrawal_signed_again_is_taken_with_its_new_bytes():
    known = TransactionCache()
    again = asset_unlock.signed_again()
    for data in (asset_unlock.DATA, again, asset_unlock.DATA):
        answer = answer_of(MATCHED) | {"transactions": [asset_unlock.ENTRY | {"data": data.hex()}]}
        assert list(decode_ahead(answer, known)) == []
        (taken,) = parse_template(answer, VERSIONS, NOW, known=known).transactions
        assert (taken.data, f"{taken.hash:064x}") == (data, asset_unlock.HASH)


def test_transactions_of_types_that_are_not_known_pass():
    for kind in (10, 11, 12, 13, 99, 0xFFFF):
        data = asset_unlock.with_payload(b"whatever", kind=kind).pack()
        entry = {"data": data.hex(), "hash": sha256d(data)[::-1].hex(), "fee": 7}
        template = parsed(MATCHED, transactions=[entry])
        assert [t.data for t in template.transactions] == [data]
        assert template.problems == ()


def wrong_hash(answer: dict[str, Any], place: int) -> str:
    """Gives one transaction of an answer a hash that no rule makes of it."""
    answer["transactions"][place]["hash"] = named = f"{place:02x}" * 32
    return named


def test_a_wrong_hash_costs_that_transaction_and_what_depends_on_it():
    answer = answer_of(MATCHED)
    entries = answer["transactions"]
    entries[9]["depends"], entries[10]["depends"], entries[12]["depends"] = [8], [9], [11]
    named, fees = wrong_hash(answer, 8), [entry["fee"] for entry in entries]
    template, whole = parse_template(answer, VERSIONS, NOW), parsed(MATCHED)
    assert template.transactions == tuple(whole.transactions[n] for n in range(14) if n not in (8, 10, 12))
    assert template.depends == ((),) * 6 + ((5,), (6, 5), (7,), (), ())
    lost = fees[8] + fees[10] + fees[12]
    assert template.subsidy == answer["coinbasevalue"] - lost
    assert template.branch == tuple(coinbase_branch([t.hash_bytes for t in template.transactions]))
    (problem,) = template.problems
    assert named in problem
    assert template.refusal is None
    # What dashd will demand of the coinbase without these fees.
    reward, burn = template.subsidy, answer["masternode"][0]["amount"]
    assert [amount for _, amount in template.payments] == [burn, reward * 3 // 4 - burn]
    assert template.payment_amount == reward * 3 // 4


def test_a_wrong_hash_is_not_remembered_as_a_right_one():
    known, answer = TransactionCache(), answer_of(MATCHED)
    named = wrong_hash(answer, 13)
    for _ in range(2):
        assert list(decode_ahead(answer, known)) == []
        assert len(parse_template(answer, VERSIONS, NOW, known=known).transactions) == 13
    assert known.get(named) is None


def test_fees_that_a_block_is_not_worth_are_malformed():
    answer = answer_of(MATCHED)
    answer["transactions"][8]["fee"] = answer["coinbasevalue"]
    wrong_hash(answer, 8)
    with pytest.raises(ParseError, match="payees get"):
        parse_template(answer, VERSIONS, NOW)


def test_where_one_transaction_does_not_say_nothing_is_known_of_dependencies():
    answer = answer_of(MATCHED)
    assert len(parse_template(answer, VERSIONS, NOW).depends) == 14
    del answer["transactions"][13]["depends"]
    assert parse_template(answer, VERSIONS, NOW).depends == ()


def test_many_wrong_hashes_are_one_sentence():
    answer = answer_of(MATCHED)
    for place in range(14):
        wrong_hash(answer, place)
    template = parse_template(answer, VERSIONS, NOW)
    (problem,) = template.problems
    assert (template.transactions, template.branch) == ((), ())
    assert template.subsidy == answer["coinbasevalue"] - 101_936
    assert "00" * 32 in problem
    assert "and 13 more" in problem
    assert len(problem) < 250


def test_without_a_special_transaction_the_coinbase_payload_would_be_wrong():
    answer = answer_of(MATCHED)
    answer["transactions"].append(dict(asset_unlock.ENTRY))
    named = wrong_hash(answer, 14)
    template = parse_template(answer, VERSIONS, NOW)
    assert len(template.transactions) == 14
    assert template.refusal is not None
    assert named in template.refusal


def test_of_a_type_that_is_not_known_the_hash_is_believed():
    data = asset_unlock.with_payload(b"whatever", kind=13).pack()
    template = parsed(MATCHED, transactions=[{"data": data.hex(), "hash": "ab" * 32, "fee": 7}])
    assert [f"{t.hash:064x}" for t in template.transactions] == ["ab" * 32]
    (problem,) = template.problems
    assert "upgrade" in problem
    assert template.refusal is None


@pytest.mark.parametrize("depends", ["1", [0], [3], [True], [1.0], ["1"], {"1": 1}])
def test_depends_names_earlier_transactions(depends):
    entries = answer_of(MATCHED)["transactions"]
    entries[2]["depends"] = depends
    with pytest.raises(ParseError, match="depends"):
        parsed(MATCHED, transactions=entries)


# --- the same work ---------------------------------------------------------------------------------------


def test_a_block_that_dashd_offers_twice_is_the_same_work():
    template = make_template()
    same = make_template(received=5.0, long_poll_id="y", current_time=5, coinbase_flags=template.coinbase_flags)
    assert template.same_work(same)
    assert not template.same_work(None)


@pytest.mark.parametrize(
    "change",
    [
        {"previous_block": 1},
        {"transactions": [bytes(32)]},
        {"subsidy": 1},
        {"payments": (("!6a", 1),)},
        {"coinbase_payload": b"x"},
        {"bits": 0x1F00FFFE},
        {"version": 1},
        {"height": 201},
        {"minimum_time": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_makes_other_work(change):
    assert not make_template().same_work(make_template(**change))
    assert not make_template(**change).same_work(make_template())
