"""/web/...: the ends of the share chain, shares as bytes, and the chain page by page."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from p2pool.dash.address import encode_address
from p2pool.dash.target import target_to_difficulty
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.share.versions import parse_envelope
from p2pool.sharechain.store import StoredShare
from p2pool.sharechain.tracker import Tracker
from p2pool.web.api import chain
from tests.chains import NOW, grow_chain
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool

LISTS = ("heads", "verified_heads", "tails", "verified_tails", "my_share_hashes")
BY_HASH = ("share", "share_data", "payout_address")
UNKNOWN = "1" * 64


def names(shares) -> list[str]:
    return [f"{share.hash:064x}" for share in shares]


def get(pool: Pool, path: str):
    """The JSON of a good answer."""
    answer = pool.ask(path)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    return answer.json


def refused(pool: Pool, path: str) -> tuple[int, str]:
    """(status, code) of an error, which is JSON of one shape whatever the resource, and logs nothing."""
    with logged() as log:
        answer = pool.ask(path)
    assert not log.lines
    assert not log.tracebacks
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"code", "message"}
    assert b"<" not in answer.body
    return answer.status, answer.json["error"]["code"]


@pytest.fixture(scope="module")
def forked() -> Pool:
    """Forty shares, a fork of two on the 31st, and four shares of another chain whose parents are missing."""
    pool = Pool(40, make_template())
    pool.fork = grow_chain(pool.tracker, make_template(), 2, 1, pool.shares[30].hash, seed=9)
    other = Pool(30, make_template(previous_block=0xEF))
    pool.orphans = other.shares[26:]
    for share in pool.orphans:
        pool.tracker.add(share, NOW, "10.0.0.9:8999")
    return pool


# --- the ends ----------------------------------------------------------------------------------------------------


def test_an_empty_node_has_no_ends():
    pool = Pool()
    for name in LISTS:
        assert get(pool, f"/web/{name}") == []
    assert get(pool, "/web/best_share_hash") == "0" * 64


def test_the_ends_of_a_single_chain():
    pool = Pool(12, make_template())
    last, first = names(pool.shares)[-1], names(pool.shares)[0]
    assert get(pool, "/web/best_share_hash") == last
    for name in ("heads", "verified_heads"):
        assert get(pool, f"/web/{name}") == [last]
    for name in ("tails", "verified_tails"):
        assert get(pool, f"/web/{name}") == [first]


def test_forks_and_missing_parents(forked):
    best, side, loose = forked.shares[-1], forked.fork[-1], forked.orphans[-1]
    assert get(forked, "/web/heads") == names([loose, side, best])  # newest first
    assert get(forked, "/web/verified_heads") == names([side, best])
    # What stands on a missing parent, not the parent: every hash told can be looked up.
    assert sorted(get(forked, "/web/tails")) == sorted(names([forked.shares[0], forked.orphans[0]]))
    assert get(forked, "/web/verified_tails") == names([forked.shares[0]])
    for name in ("heads", "verified_heads", "tails", "verified_tails"):
        for share_hash in get(forked, f"/web/{name}"):
            assert forked.ask(f"/web/share/{share_hash}").status == 200


def test_what_is_reported_is_of_this_moment():
    pool = Pool(5, make_template())
    (more,) = grow_chain(pool.tracker, make_template(), 1, 1, pool.shares[-1].hash)
    assert get(pool, "/web/heads") == names([more])
    pool.node.best_share = more.hash
    assert get(pool, "/web/best_share_hash") == names([more])[0]


def test_lists_are_bounded(monkeypatch, forked):
    monkeypatch.setattr(chain, "MAX_LISTED", 2)
    assert get(forked, "/web/heads") == names([forked.orphans[-1], forked.fork[-1]])
    monkeypatch.setattr(chain, "MAX_LISTED", 1)
    assert len(get(forked, "/web/tails")) == 1


def test_our_own_shares_newest_first():
    pool = Pool()
    assert get(pool, "/web/my_share_hashes") == []
    shares = grow_chain(Tracker(pool.node.network), make_template(), 6, 2)
    pool.node.load(StoredShare(share, NOW, verified=True, own=number != 3) for number, share in enumerate(shares))
    pool.node.loaded()
    ours = [share for number, share in enumerate(shares) if number != 3]
    assert get(pool, "/web/my_share_hashes") == names(reversed(ours))


# --- one share ---------------------------------------------------------------------------------------------------


def test_a_share_as_bytes(forked):
    for share in (forked.shares[7], forked.orphans[0]):
        answer = forked.ask(f"/web/share_data/{share.hash:064x}")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.body[0] == SHARE_VERSION
        again = parse_envelope(answer.body, forked.node.network)
        assert (again.hash, again.contents) == (share.hash, share.contents)


def test_whom_a_share_pays(forked):
    share = forked.shares[7]
    version = forked.node.network.parent.addresses.pubkey_hash
    for digits in (f"{share.hash:064x}", f"{share.hash:064X}"):
        assert get(forked, f"/web/payout_address/{digits}") == encode_address(version, share.pubkey_hash)


@pytest.mark.parametrize("name", BY_HASH)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "1" * 63,
        "1" * 65,
        "0x" + "1" * 62,
        "-" + "1" * 63,
        "+" + "1" * 63,
        "1_" * 32,
        "1" * 63 + "%0a",
        "%20" + "1" * 63,
        "%00" * 64,
        "%ff" * 64,
        "%d9%a1" * 32,
        "<script>" * 8,
        "1" * 64 + "/",
        "1" * 64 + "/1",
        "1" * 32 + "/" + "1" * 31,
        "..%2f" + "1" * 61,
        "1" * 5000,
    ],
)
def test_what_is_no_hash_is_a_json_404(forked, name, text):
    assert refused(forked, f"/web/{name}/{text}") == (404, "not_a_hash")


@pytest.mark.parametrize("name", BY_HASH)
def test_a_share_that_is_not_held_is_answered_as_by_legacy_p2pool(forked, name):
    assert refused(forked, f"/web/{name}") == (404, "not_a_hash")
    missing = forked.orphans[0].previous_hash
    for unknown in (UNKNOWN, "0" * 64, f"{missing:064x}"):
        answer = forked.ask(f"/web/{name}/{unknown}")
        assert (answer.status, answer.body) == (200, b"" if name == "share_data" else b"null")


# --- the chain ---------------------------------------------------------------------------------------------------


def test_the_chain_of_an_empty_node():
    assert get(Pool(), "/web/chain") == {
        "best_share": None,
        "from": None,
        "held": 0,
        "shares": [],
        "next": None,
        "missing_parent": None,
    }
    assert refused(Pool(), f"/web/chain?from={UNKNOWN}") == (404, "unknown_share")


def test_the_chain_from_the_best_share_down(forked):
    page = get(forked, "/web/chain")
    assert page["best_share"] == page["from"] == names(forked.shares)[-1]
    assert [row["hash"] for row in page["shares"]] == names(reversed(forked.shares))
    assert (page["held"], page["next"], page["missing_parent"]) == (40, None, None)
    for row, share in zip(page["shares"], reversed(forked.shares), strict=True):
        version = forked.node.network.parent.addresses.pubkey_hash
        assert row == {
            "ts": share.timestamp,
            "time_found": share.timestamp,
            "time_found_source": "first_seen",
            "hash": f"{share.hash:064x}",
            "payout_address": encode_address(version, share.pubkey_hash),
            "difficulty": target_to_difficulty(share.target),
            "stale_info": None,
            "is_block": share.is_block,
            "verified": True,
            "absheight": share.absheight,
        }
    assert all(newer["absheight"] == older["absheight"] + 1 for newer, older in pairwise(page["shares"]))


@pytest.mark.parametrize("count", [1, 7, 39, 40, 41, 200])
def test_following_the_pages_meets_every_share_once(forked, count):
    met, path, held = [], f"/web/chain?count={count}", 40
    while True:
        page = get(forked, path)
        assert page["held"] == held
        assert 1 <= len(page["shares"]) <= count
        met += [row["hash"] for row in page["shares"]]
        held -= len(page["shares"])
        if page["next"] is None:
            break
        path = f"/web/chain?count={count}&from={page['next']}"
    assert met == names(reversed(forked.shares))
    assert held == 0


def test_a_fork_leads_down_to_the_common_chain(forked):
    page = get(forked, f"/web/chain?from={names(forked.fork)[1]}&count=4")
    shares = [*reversed(forked.fork), forked.shares[30], forked.shares[29]]
    assert [row["hash"] for row in page["shares"]] == names(shares)
    assert page["best_share"] == names(forked.shares)[-1]
    assert (page["held"], page["next"]) == (33, names(forked.shares)[28])


def test_a_chain_with_a_missing_parent_says_so(forked):
    page = get(forked, f"/web/chain?from={names(forked.orphans)[-1]}")
    assert (page["held"], page["next"]) == (4, None)
    assert page["missing_parent"] == f"{forked.orphans[0].previous_hash:064x}"
    assert not any(row["verified"] for row in page["shares"])


def test_stale_shares_and_blocks_are_marked():
    pool = Pool(4, make_template())
    orphan, late, block, plain = pool.shares
    orphan.stale_info, late.stale_info = 253, 254
    for share in pool.shares:
        share.block_bits = 0x03000001
    block.block_bits = 0x207FFFFF if block.hash < 2**255 - 1 else 0x2100FFFF
    rows = {row["hash"]: row for row in get(pool, "/web/chain")["shares"]}
    told = [(rows[name]["stale_info"], rows[name]["is_block"]) for name in names([orphan, late, block, plain])]
    assert told == [("orphan", False), ("doa", False), (None, True), (None, False)]


def test_pages_are_bounded():
    pool = Pool(220, make_template())
    assert len(get(pool, "/web/chain")["shares"]) == chain.DEFAULT_SHARES
    assert len(get(pool, "/web/chain?count=200")["shares"]) == chain.MAX_SHARES
    answer = pool.ask("/web/chain?count=200")
    assert len(answer.body) < 80_000


@pytest.mark.parametrize(
    "count",
    [
        "0",
        "201",
        "-1",
        "+5",
        "1.5",
        "1e2",
        "",
        "%20",
        "5%0a",
        "0x10",
        "1_0",
        "%d9%a5",
        "%b2",
        "9" * 5000,
        "x",
        "%00",
    ],
)
def test_a_count_that_is_none_is_refused(forked, count):
    assert refused(forked, f"/web/chain?count={count}") == (400, "bad_count")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=", "not_a_hash"),
        ("from", None),
        ("from=12", "not_a_hash"),
        ("from=%00", "not_a_hash"),
        ("from=" + "%3Cb%3E" * 9, "not_a_hash"),
        (f"from={UNKNOWN}", "unknown_share"),
        (f"from={UNKNOWN}&from={UNKNOWN}", "not_a_hash"),
        (f"from={UNKNOWN}%0a", "not_a_hash"),
        ("from[]=1", None),
        ("&&;=&%=%&x=%ff", None),
    ],
)
def test_hostile_queries(forked, query, expected):
    path = f"/web/chain?{query}"
    if expected is None:
        assert len(get(forked, path)["shares"]) == 40
    else:
        assert refused(forked, path) == (404, expected)


def test_two_counts_are_none(forked):
    assert refused(forked, "/web/chain?count=1&count=2") == (400, "bad_count")


# --- as everywhere on the site -----------------------------------------------------------------------------------


def addresses(pool: Pool) -> list[str]:
    """A good address of each resource."""
    share_hash = names(pool.shares)[3]
    return [
        *(f"/web/{name}" for name in (*LISTS, "best_share_hash", "chain", "chain?count=2")),
        *(f"/web/{name}/{share_hash}" for name in BY_HASH),
    ]


def test_head_other_methods_and_headers(forked):
    for path in (*addresses(forked), "/web/share_data/1", "/web/chain?count=0"):
        with logged() as log:
            answer, head, post = forked.ask(path), forked.ask(path, "HEAD"), forked.ask(path, "POST")
        assert not log.tracebacks
        assert (head.status, head.body) == (answer.status, b"")
        assert head.headers["content-length"] == str(len(answer.body))
        assert head.headers["content-type"] == answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.headers["content-type"].startswith("application/json"):
            assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert (post.status, post.json["error"]["code"]) == (405, "method_not_allowed")


def test_a_trailing_slash_is_passed_over_as_for_other_figures(forked):
    for name in (*LISTS, "best_share_hash", "chain"):
        assert get(forked, f"/web/{name}/") == get(forked, f"/web/{name}")


def test_looking_makes_no_work(monkeypatch, forked):
    """Only the details of one share need its coinbase; nothing else walks a window, verifies or thinks."""

    def never(*arguments, **named):
        raise AssertionError("a look made work")

    for name in ("rebuild", "weights", "think", "check", "minimum_work"):
        monkeypatch.setattr(forked.tracker, name, never)
    for path in addresses(forked):
        if not path.startswith("/web/share/"):
            assert forked.ask(path).status == 200


def test_long_numbers_stay_exact():
    pool = Pool(2, make_template())
    pool.shares[-1].abswork = 2**127 + 1
    body = pool.ask(f"/web/share/{names(pool.shares)[-1]}").body
    assert json.loads(body)["share_data"]["abswork"] == 2**127 + 1
