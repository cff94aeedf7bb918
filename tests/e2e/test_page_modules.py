"""The pages' own reckoning, in their own language: what a browser reads out of a coinbase is what is in it, each
share of a drawn chain has a place of its own. Skipped where there is no Node.js."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pool.dash.hashes import sha256d
from p2pool.dash.transaction import parse_transaction
from p2pool.web.sources import script_to_text
from tests.e2e.process import PATIENCE
from tests.support import ROOT, make_template
from tests.web.busy import busy_pool
from tests.web.pages import Pool
from tests.web.test_tree import forked_pool

pytestmark = pytest.mark.e2e
NODE_JS = shutil.which("node")
needs_node_js = pytest.mark.skipif(NODE_JS is None, reason="there is no Node.js on this machine")


def run(directory: Path, modules: tuple[str, ...], code: str, given: Any) -> Any:
    """What `code` prints as JSON, with `given` at hand."""
    for name in modules:
        shutil.copy(ROOT / "web-static" / "js" / name, directory)
    (directory / "package.json").write_text('{"type": "module"}')
    (directory / "given.json").write_text(json.dumps(given))
    (directory / "try.js").write_text(
        'import { readFileSync } from "node:fs";\n'
        'const given = JSON.parse(readFileSync(process.argv[2], "utf8"));\n' + code
    )
    command = [str(NODE_JS), str(directory / "try.js"), str(directory / "given.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@needs_node_js
def test_a_browser_reads_the_coinbase_as_it_is(tmp_path):
    with_payload = make_template(
        payments=(("!76a914" + "5a" * 20 + "88ac", 7), ("!a914" + "5b" * 20 + "87", 5), ("!6a", 3)),
        payment_amount=15,
        coinbase_payload=b"\x03" * 300,
    )
    owners = tuple((f"!76a914{number:02x}{'5c' * 19}88ac", 100 + number) for number in range(9))
    of_version_24 = replace(
        with_payload,
        payments=(("!6a", 3), *owners),
        payment_amount=3 + sum(amount for _, amount in owners),
        coinbase_payload=b"\x04\x00" + b"\x09" * 220,
    )
    told = []
    for pool in (busy_pool(), Pool(30, with_payload), Pool(30, of_version_24), Pool(3, make_template())):
        pool.refresh()
        coinbase = pool.ask("/api/v1/coinbase").json
        outputs = parse_transaction(bytes.fromhex(coinbase["hex"])).outputs
        wanted = [
            [str(output.value), None if text.startswith("!") else text, output.script.hex()]
            for output in outputs
            for text in [script_to_text(pool.node, output.script)]
        ]
        told.append({"hex": coinbase["hex"], "wanted": wanted})
    read = run(
        tmp_path,
        ("coinbase.js", "format.js", "language.js"),
        """
        import { addressVersions, describeScript, fromHex, parseTransaction, toHex } from "./coinbase.js";
        const versions = addressVersions("dash_regtest");
        const read = ({ hex }) => parseTransaction(fromHex(hex)).outputs.map(
          ({ value, script }) => [String(value), describeScript(script, versions).to, toHex(script)]);
        console.log(JSON.stringify(given.map(read)));
        """,
        told,
    )
    assert read == [each["wanted"] for each in told]
    assert any(address is None for outputs in read for _, address, _ in outputs)


@needs_node_js
def test_a_browser_refuses_what_is_no_transaction(tmp_path):
    pool = busy_pool()
    whole = pool.ask("/api/v1/coinbase").json["hex"]
    broken = [whole[: 2 * cut] for cut in range(0, len(whole) // 2, 7)] + ["zz", "0", "ff" * 60]
    read = run(
        tmp_path,
        ("coinbase.js", "format.js", "language.js"),
        """
        import { fromHex, parseTransaction } from "./coinbase.js";
        const refused = (hex) => {
          try {
            parseTransaction(fromHex(hex));
            return false;
          } catch {
            return true;
          }
        };
        console.log(JSON.stringify(given.map(refused)));
        """,
        broken,
    )
    assert read == [True] * len(broken)


@needs_node_js
def test_a_browser_s_sha256_is_the_one(tmp_path):
    rng = random.Random(5)
    texts = [rng.randbytes(length) for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000)]
    read = run(
        tmp_path,
        ("coinbase.js", "format.js", "language.js"),
        """
        import { fromHex, sha256, toHex } from "./coinbase.js";
        console.log(JSON.stringify(given.map((hex) => toHex(sha256(sha256(fromHex(hex)))))));
        """,
        [text.hex() for text in texts],
    )
    assert read == [sha256d(text).hex() for text in texts]


@needs_node_js
@pytest.mark.parametrize("count", [1, 7, 20, 500])
def test_every_share_of_a_drawn_chain_has_a_place_of_its_own(tmp_path, count):
    pool = forked_pool()
    shares = pool.ask(f"/api/v1/tree?count={count}").json["shares"]
    drawn = run(
        tmp_path,
        ("lanes.js",),
        """
        import { placeShares } from "./lanes.js";
        const tell = ({ hash, column, lane, up }) => ({ hash, column, lane, up: up?.hash ?? null });
        console.log(JSON.stringify(placeShares(given).map(tell)));
        """,
        shares,
    )
    assert [each["hash"] for each in drawn] == [each["hash"] for each in shares]
    by_hash = {each["hash"]: each for each in drawn}
    assert len({(each["column"], each["lane"]) for each in drawn}) == len(drawn)
    assert min(each["column"] for each in drawn) == 0
    for share in shares:
        place = by_hash[share["hash"]]
        assert (place["lane"] == 0) == share["in_best_chain"]
        if share["parent"] in by_hash:
            assert place["up"] == share["parent"]
            assert by_hash[share["parent"]]["column"] == place["column"] - 1
        else:
            assert place["up"] is None


@needs_node_js
def test_forks_beyond_the_lanes_share_the_last_one(tmp_path):
    """Thirty children of one share: more than there are lanes, and still a drawing."""
    best = {"hash": "0", "parent": None, "height": 1, "in_best_chain": True}
    children = [{"hash": str(n), "parent": "0", "height": 2, "in_best_chain": n == 1} for n in range(1, 31)]
    drawn = run(
        tmp_path,
        ("lanes.js",),
        """
        import { placeShares } from "./lanes.js";
        console.log(JSON.stringify(placeShares(given).map(({ column, lane }) => [column, lane])));
        """,
        [*children, best],
    )
    assert drawn[-1] == [0, 0]
    assert {column for column, _ in drawn[:-1]} == {1}
    assert max(lane for _, lane in drawn) == 11


@needs_node_js
@pytest.mark.parametrize(
    ("rate", "low", "high", "estimating", "shown"),
    [
        (1000.0, 900.0, 1100.0, False, ["1.00 kH/s", "1.00 kH/s"]),
        (1000.0, 300.0, 2500.0, True, ["300 H/s to 2.50 kH/s", "~1.00 kH/s"]),
        (0.0, 0.0, 2500.0, True, ["below 2.50 kH/s", "< 2.50 kH/s"]),
    ],
)
def test_a_rate_that_is_still_estimated_is_shown_as_such(tmp_path, rate, low, high, estimating, shown):
    given = {"hash_rate": rate, "hash_rate_low": low, "hash_rate_high": high, "estimating": estimating}
    code = """
        import { estimatedRate, roughRate } from "./format.js";
        console.log(JSON.stringify([estimatedRate(given), roughRate(given)]));
    """
    assert [
        text.replace("\u00a0", " ") for text in run(tmp_path, ("format.js", "language.js"), code, given)
    ] == shown
