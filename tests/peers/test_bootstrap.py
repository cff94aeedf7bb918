"""Lists of nodes: what is written, what is wrong with it, and what comes with the package."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.hosts import is_global, parse_address
from p2pool.networks import NETWORKS
from p2pool.networks.bootstrap import built_in_nodes
from p2pool.peers.bootstrap import MAX_FILE, MAX_NODES, parse_node_list
from tests.support import ROOT

LISTS = ROOT / "p2pool" / "networks" / "bootstrap_nodes"


def test_one_node_a_line_with_comments():
    said = parse_node_list(
        b"\xef\xbb\xbf# those that I know\r\n\r\n  node.example  # port of the network\n8.8.8.8:9\n"
        b"[2001:db8::1]:10\n2001:db8::2\nnode.example\n#8.8.4.4\n[::1]"
    )
    assert said.problems == ()
    assert said.places == (
        *(("node.example", 0), ("8.8.8.8", 9), ("2001:db8::1", 10), ("2001:db8::2", 0), ("::1", 0)),
    )


def test_what_is_no_node_costs_a_sentence_and_not_the_others():
    said = parse_node_list(b"good.example\n8.8.8.8:0\na b\n\xff\xfe\x1b[31m:99999\nhttp://x/\ngood.example:7")
    assert said.places == (("good.example", 0), ("good.example", 7))
    assert [problem.partition(":")[0] for problem in said.problems] == ["line 2", "line 3", "line 4", "line 5"]
    assert all(problem.isprintable() for problem in said.problems)


def test_a_list_is_bounded():
    said = parse_node_list(b"".join(b"n%d.example\n" % n for n in range(MAX_NODES + 5)))
    assert (len(said.places), len(said.problems)) == (MAX_NODES, 1)
    said = parse_node_list(b"a.example\n" + b"#" * MAX_FILE)
    assert (said.places, len(said.problems)) == ((("a.example", 0),), 1)


@given(st.binary(max_size=500) | st.text(max_size=200).map(str.encode))
def test_anything_can_be_read(data):
    said = parse_node_list(data)
    assert len(said.places) + len(said.problems) <= len(data) + 1
    assert all(0 <= port < 65536 and host for host, port in said.places)


def test_the_lists_that_come_with_the_package():
    assert {path.stem for path in LISTS.glob("*.txt")} == {"dash"}
    for name in NETWORKS:
        said = parse_node_list(built_in_nodes(name))
        assert said.problems == ()
        for host, port in said.places:
            address = parse_address(host)
            assert address is None or is_global(address)
            assert port == 0
    assert len(parse_node_list(built_in_nodes("dash")).places) == 5


def test_they_are_installed():
    assert '"p2pool.networks": ["bootstrap_nodes/*.txt"]' in (ROOT / "setup.py").read_text("utf-8")
