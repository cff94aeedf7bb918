"""docs/protocol agrees with the code, and byte for byte with data of other software."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from operator import attrgetter
from typing import Any

import pytest

from p2pool.dash.transaction import read_transaction
from p2pool.networks import DASH, DASH_REGTEST, DASH_TESTNET
from p2pool.share.payouts import GENTX_BEFORE_REF_HASH
from p2pool.stratum.errors import ErrorCode
from p2pool.stratum.methods import EXTENSIONS, METHODS
from p2pool.wire.codec import Reader
from tests.support import ROOT, vectors

FOLDER = ROOT / "docs" / "protocol"
NETWORKS = {"dash": DASH, "dash_testnet": DASH_TESTNET, "dash_regtest": DASH_REGTEST}
UNSIGNED = {f"uint{bits}": bits // 8 for bits in (8, 16, 32, 64, 128, 160, 256)} | {"bits": 4}


@cache
def page(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


@cache
def rows(name: str, head: str) -> list[list[str]]:
    """The cells of the table whose first column has this head."""
    _, _, rest = page(name).partition(f"\n| {head} |")
    assert rest, head
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def read(encoding: str, reader: Reader) -> Any:
    """A value as the pages describe it; several types after each other make a list."""
    parts = re.findall(r"(?:\w+\([^)]*\)|\w+)", encoding)
    if len(parts) > 1:
        return [read(part, reader) for part in parts]
    if match := re.fullmatch(r"(list|pairs)\((.*)\)", encoding):
        count = reader.varint() * (2 if match[1] == "pairs" else 1)
        return [read(match[2], reader) for _ in range(count)]
    if encoding in UNSIGNED:
        return int.from_bytes(reader.take(UNSIGNED[encoding]), "little")
    if encoding == "address":
        return [read("uint64", reader), bytes(reader.take(16)), int.from_bytes(reader.take(2), "big")]
    return {
        "varint": reader.varint,
        "varstr": reader.varstr,
        "bytes32": lambda: bytes(reader.take(32)),
        "header": lambda: bytes(reader.take(80)),
        "transaction": lambda: read_transaction(reader),
    }[encoding]()


@pytest.mark.parametrize("name", NETWORKS)
def test_constants_of_networks(name):
    column = 1 + list(NETWORKS).index(name)
    for cells in rows("networks.md", "constant"):
        value, written = attrgetter(cells[0])(NETWORKS[name]), cells[column]
        assert value == (bytes.fromhex(written) if isinstance(value, bytes) else eval(written)), cells[0]


# --- shares ------------------------------------------------------------------------------------------------


def share_fields(contents: bytes) -> Iterator[tuple[str, Any, bytes]]:
    """(field, value, its bytes) by the page's table alone."""
    reader = Reader(contents)
    for cells in rows("share.md", "field"):
        begin = reader.position
        value = read(cells[1].strip("`"), reader)
        yield cells[0], value, contents[begin : reader.position]
    reader.expect_end()


SHARES = vectors("shares")["shares"]


def test_every_share_is_read_by_the_table_of_the_page():
    assert len(SHARES) > 100
    for share in SHARES:
        reader = Reader(bytes.fromhex(share["raw"]))
        assert reader.varint() == 16
        contents = reader.varstr()
        reader.expect_end()
        found = {name: (value, raw) for name, value, raw in share_fields(contents)}
        info, data = share["share_info"], share["share_info"]["share_data"]
        packed = b"".join(
            raw for name, (_, raw) in found.items() if name.startswith("share_data.") or name in info
        )
        assert packed.hex() == share["share_info_packed"]
        assert found["share_data.previous_share_hash"][0] == int(share["previous_share_hash"] or "0", 16)
        assert found["share_data.desired_version"][0] == data["desired_version"]
        assert found["share_data.subsidy"][0] == data["subsidy"]
        assert found["absheight"][0] == info["absheight"]
        assert found["hash_link.length"][0] == share["hash_link"]["length"]
        assert found["hash_link.state"][1].hex() == share["hash_link"]["state"]


def test_what_follows_from_the_contents():
    """The page's steps 1 to 5, on its own terms."""
    (ending,) = re.findall(r"`(1976a9[0-9a-f]+)`", page("share.md"))
    assert bytes.fromhex(ending) == GENTX_BEFORE_REF_HASH
    identifier = DASH_REGTEST.identifier

    def walk(leaf: bytes, link: list[int]) -> bytes:
        for each in link:
            leaf = double(leaf + each.to_bytes(32, "little"))
        return leaf

    for share in SHARES:
        fields = {name: (value, raw) for name, value, raw in share_fields(bytes.fromhex(share["contents"]))}
        ref = walk(double(identifier + bytes.fromhex(share["share_info_packed"])), fields["ref_merkle_link"][0])
        assert ref == bytes.fromhex(share["ref_hash"])
        gentx = bytes.fromhex(share["gentx"])
        length = fields["hash_link.length"][0]
        assert gentx[:length].endswith(bytes.fromhex(ending))
        after = ref + fields["last_txout_nonce"][1] + bytes(4)
        assert gentx[length : length + len(after)] == after
        assert len(fields["hash_link.extra_data"][0]) == max(0, length % 64 - len(bytes.fromhex(ending)))
        root = walk(double(gentx), fields["merkle_link"][0])
        assert bytes.fromhex(share["header"])[36:68] == root


def double(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


# --- messages ----------------------------------------------------------------------------------------------


def test_every_message_is_read_by_the_table_of_the_page():
    by_command = {cells[0]: re.findall(r"`([^`]+)`", cells[1]) for cells in rows("peers.md", "command")}
    messages = vectors("p2p_messages")["messages"]
    for message in messages:
        reader = Reader(bytes.fromhex(message["payload"]))
        for encoding in by_command[message["command"]]:
            read(encoding, reader)
        reader.expect_end()
        frame, payload = bytes.fromhex(message["framed"]), bytes.fromhex(message["payload"])
        head = DASH_REGTEST.prefix + message["command"].encode().ljust(12, b"\0")
        assert frame == head + len(payload).to_bytes(4, "little") + double(payload)[:4] + payload
    assert {message["command"] for message in messages} == set(by_command)


# --- stratum -----------------------------------------------------------------------------------------------


def test_the_stratum_page_has_every_method_extension_and_code():
    methods, *_ = re.findall(r"## From miner to node\n(.*?)\n## ", page("stratum.md"), re.DOTALL)
    assert re.findall(r"^\| `([\w.]+)` \|", methods, re.MULTILINE) == list(METHODS)
    assert all(f"`{name}`" in methods for name in EXTENSIONS)
    assert [int(cells[0]) for cells in rows("stratum.md", "code")] == list(ErrorCode)


def test_the_stratum_page_has_every_method_of_the_node():
    sent = re.findall(r"## From node to miner\n(.*?)\n## ", page("stratum.md"), re.DOTALL)[0]
    code = "".join(path.read_text("utf-8") for path in (ROOT / "p2pool" / "stratum").glob("*.py"))
    named = set(re.findall(r'(?:notify|line)\([^)"]*"((?:mining|client)\.[\w.]+)"', code)) | {"mining.notify"}
    assert set(re.findall(r"^\| `([\w.]+)` \|", sent, re.MULTILINE)) == named


# --- Dash Core ---------------------------------------------------------------------------------------------


def test_the_page_on_dash_core_has_every_method_that_is_called():
    code = "".join(path.read_text("utf-8") for path in (ROOT / "p2pool" / "dashd").glob("*.py"))
    called = set(re.findall(r'"(get[a-z]+|submit[a-z]+|validate[a-z]+)"', code)) - {
        "getdata",
        "getheaders",
        "getaddr",
    }
    text = page("dash-core.md")
    assert {method for method in called if f"`{method}`" not in text and f"## {method}" not in text} == set()
