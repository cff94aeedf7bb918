"""The order of payouts follows the window from share to share, and packs what plain packing would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pool.share import payout_order as module
from p2pool.share.payments import PaidPayments, pack_output
from p2pool.share.payout_order import PayoutOrder, payout_order
from p2pool.share.payouts import DONATION_SCRIPT, PayoutTable, gentx_head, gentx_prefix
from p2pool.share.weights import Weights
from p2pool.wire.codec import pack_uint64, pack_varstr

SCRIPTS = st.one_of(st.binary(min_size=25, max_size=25), st.binary(max_size=3), st.just(bytes(300)))
AMOUNTS = st.integers(0, 2**64 - 1)


@given(st.lists(st.dictionaries(SCRIPTS, AMOUNTS, max_size=8), max_size=6))
def test_the_outputs_of_each_window_are_packed_in_ascending_order(windows):
    """Whatever was asked for before, and whether scripts have one length or many."""
    for window in windows:
        order = payout_order(window.keys())
        assert order.scripts == tuple(sorted(window))
        pieces = [pack_output(script, window[script]) for script in sorted(window)]
        assert order.pack([window[script] for script in order.scripts]) == b"".join(pieces)
        assert [order.offsets[i + 1] - order.offsets[i] for i in range(len(pieces))] == list(map(len, pieces))


def test_the_same_scripts_are_not_sorted_again_and_a_few_others_are_put_in_their_places(monkeypatch):
    order = payout_order({b"a", b"c"})
    assert payout_order({b"c": 1, b"a": 2}.keys()) is order
    other = payout_order({b"a", b"b"})
    assert other.scripts == (b"a", b"b")
    assert module._newest.order is other  # no more than one is kept


def test_packing_leaves_no_amount_behind():
    order = PayoutOrder([b"a", b"b"])
    order.pack([1, 2])
    assert order.pack([3, 4]) == pack_output(b"a", 3) + pack_output(b"b", 4)


@given(
    st.dictionaries(st.one_of(SCRIPTS, st.just(DONATION_SCRIPT)), st.integers(1, 2**70), max_size=8),
    st.integers(0, 2**64 - 1),
    st.one_of(SCRIPTS, st.just(DONATION_SCRIPT), st.none()),
    st.integers(0, 2**70),
)
def test_a_coinbase_is_what_the_rules_make_of_the_window(weights, subsidy, finder, donated):
    """Also with amounts that round to nothing, and for finders who are paid already, who are not, and who are the
    donation."""
    if finder is None:
        finder = min(weights, default=b"")
    total = sum(weights.values()) + donated
    table = PayoutTable(Weights(weights, total, donated), subsidy, PaidPayments(0, 0, b""))
    amounts = {script: subsidy * 49 * weight // (50 * total) for script, weight in weights.items()}
    amounts.pop(DONATION_SCRIPT, None)
    assert table.amounts == {script: amount for script, amount in amounts.items() if amount}
    if finder != DONATION_SCRIPT:
        amounts[finder] = amounts.get(finder, 0) + subsidy // 50
    outputs = [(script, amount) for script, amount in sorted(amounts.items()) if amount]
    outputs.append((DONATION_SCRIPT, subsidy - sum(amounts.values())))
    expected = b"".join(pack_uint64(amount) + pack_varstr(script) for script, amount in outputs)
    head = gentx_head(len(outputs) + 1, coinbase=b"\x01\x07", has_payload=False)
    prefix = gentx_prefix(table, finder, coinbase=b"\x01\x07", has_payload=False)
    assert prefix == head + expected + pack_uint64(0) + b"\x2a\x6a\x28"
