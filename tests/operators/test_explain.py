"""What `explain` says of shares, blocks and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from p2pool.base.errors import OperatorError
from p2pool.operators.explain import explained
from p2pool.operators.node_api import NotFound

SHARE, CHILD, BLOCK = "a" * 64, "b" * 64, "c" * 64


class Api:
    """A node that has these answers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"blocks": [], "pool": {"best_share": CHILD}} | answers
        self.asked: list[str] = []

    def get(self, path: str, *parts: str) -> Any:
        self.asked.append(path)
        name, _, query = path.partition("?")
        if name == "blocks":
            limit, offset = (int(each.partition("=")[2]) for each in query.split("&"))
            found = self.answers["blocks"]
            return {"total": len(found), "blocks": found[offset : offset + limit]}
        found = self.answers.get("/".join([name, *parts]))
        if found is None:
            raise NotFound("unknown", 1)
        return found


def share(**changes: Any) -> dict[str, Any]:
    return {
        "hash": SHARE,
        "children": [],
        "verified": True,
        "received_from": "203.0.113.7:8999",
        "time_found": 0.0,
        "height": 77,
        "address": "Xa",
        "donation": 0.01,
        "stale_info": None,
        "desired_version": 16,
        "difficulty": 12.5,
        "is_block": False,
    } | changes


def block(**changes: Any) -> dict[str, Any]:
    return {
        "hash": BLOCK,
        "height": 5,
        "time": 0.0,
        "worker": "Xa.rig",
        "value": {"dash": "2.5"},
        "confirmations": 3,
        "chainlock": True,
        "status": "accepted",
        "reason": None,
        "round": {"luck": 150.0},
    } | changes


def of_share(**changes: Any) -> str:
    return "\n".join(explained(Api(**{f"shares/{SHARE}": share(**changes)}), SHARE.upper()))


def test_a_share():
    text = of_share()
    assert text.startswith(f"share {SHARE}\n  found 1970-01-01 00:00:00 UTC, at height 77 of the share chain\n")
    assert "pays Xa, with difficulty 12.5; donates 1.0%" in text
    assert "received from 203.0.113.7:8999" in text
    assert "verified; it votes for share version 16" in text
    assert "it is an orphan" in text
    assert "block" not in text


def test_where_a_share_is_in_the_chain():
    assert f"1 shares build on it, the first is {CHILD}" in of_share(children=[CHILD])
    assert "not verified yet" in of_share(verified=False)
    assert "(doa)" in of_share(stale_info="doa")
    assert "loaded from disk" in of_share(received_from=None)
    best = Api(**{f"shares/{SHARE}": share(), "pool": {"best_share": SHARE}})
    assert any("it is the best share" in line for line in explained(best, SHARE))


def test_a_share_that_is_a_block_is_explained_as_both():
    api = Api(**{f"shares/{SHARE}": share(is_block=True)}, blocks=[block(hash=SHARE)])
    text = "\n".join(explained(api, SHARE))
    assert "it is also a block" in text
    assert f"block {SHARE}, height 5" in text


@pytest.mark.parametrize("status", ["sent", "accepted", "confirmed", "orphaned", "refused"])
def test_a_block(status):
    lines = explained(Api(blocks=[block(status=status, reason="too late")]), BLOCK)
    assert lines[:3] == [
        f"block {BLOCK}, height 5",
        "  found 1970-01-01 00:00:00 UTC by Xa.rig",
        "  pays 2.5 in all; 3 confirmations, locked by ChainLocks",
    ]
    assert lines[3].startswith(f"  {status}: ")
    assert lines[3].endswith("(too late)")
    assert "unknown" not in lines[3]
    assert lines[4] == "  luck of its round: 150%"


def test_a_height_may_have_several_blocks_far_back():
    others = [block(hash=f"{number:064x}", height=1000 - number) for number in range(450)]
    api = Api(blocks=[*others, block(), block(hash="d" * 64, worker="", round={"luck": None})])
    lines = explained(api, "5")
    assert [line for line in lines if line.startswith("block")] == [
        f"block {BLOCK}, height 5",
        f"block {'d' * 64}, height 5",
    ]
    assert lines[6].endswith("by another node")
    assert len(api.asked) == 3


def test_an_address():
    totals = {
        "address": "Xa",
        "workers": 2,
        "known_workers": 3,
        "hash_rate": 1e6,
        "accepted": 5,
        "refused": 1,
        "dead": 0,
        "shares": 4,
        "last_share": None,
        "next_payout": {"dash": "0.25"},
        "next_payout_part": 0.1,
    }
    assert explained(Api(**{"addresses/Xa": totals}), "Xa") == [
        "address Xa",
        "  2 of 3 workers connected, 1.00 MH/s",
        "  submissions to this node: 5 accepted, 1 rejected, 0 dead on arrival",
        "  4 shares found on this node, none yet",
        "  next block pays 0.25, 10.00% of what miners get",
    ]


@pytest.mark.parametrize("subject", [SHARE, "99"])
def test_what_the_node_does_not_know(subject):
    with pytest.raises(OperatorError, match="knows no share and no block") as unknown:
        explained(Api(), subject)
    assert unknown.value.exit_status == 1
    with pytest.raises(NotFound):
        explained(Api(), "Xunknown")
