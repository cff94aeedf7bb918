"""The swarm's table, and what its parts are started with."""

from __future__ import annotations

import pytest

from p2pool.simnet.swarm import free_ports, make_locations, miner_address, node_arguments
from p2pool.simnet.swarm_table import HEADING, NodeAnswers, NodeState, frame, read_state, row, summary

PAGE = "http://127.0.0.1:1/"
BEST = "0" * 56 + "12345678"


def state(number: int, **changed) -> NodeState:
    values = {"problem": None, "best_share": BEST, "height": 77, "incoming": 1, "outgoing": 2}
    return NodeState(number, PAGE, **{**values, **changed})


def test_a_state_out_of_a_node_s_json():
    chain = {"best_share": BEST, "held": 77}
    overall = {"pool_hash_rate": 5e4}
    local = {"peers": {"incoming": 1, "outgoing": 2}}
    blocks = [{"detailed_status": "accepted"}, {"detailed_status": "refused"}, {"detailed_status": "sent"}]
    expected = state(3, pool_rate=5e4, blocks=1)
    assert read_state(3, PAGE, NodeAnswers(chain, overall, local, blocks)) == expected
    for wrong in ({"error": {"code": "starting"}}, None, [], 1):
        with pytest.raises((KeyError, TypeError)):
            read_state(3, PAGE, NodeAnswers(wrong, wrong, wrong, wrong))


def test_columns_stand_below_their_heading():
    line = row(state(3, pool_rate=123456.0, blocks=4))
    assert line.split() == ["3", "12345678", "77", "1+2", "123.46", "kH/s", "4", PAGE]
    page_at = HEADING.index("page")
    for shown in (line, row(NodeState(12, PAGE)), row(state(1, best_share=None))):
        assert shown[page_at:] == PAGE
    assert page_at + len("http://127.0.0.1:65535/") <= 80
    assert line[HEADING.index("pool rate") :].startswith("123.46")


def test_what_a_node_s_end_looks_like():
    line = row(NodeState(2, PAGE, "ended (\x1b[31msignal 9)"))
    assert "ended (?[31msignal 9)" in line


def test_the_summary_says_whether_they_agree():
    two = [state(1, blocks=1), state(2, blocks=2)]
    assert summary(two, 9) == "all 2 on the same best share; 3 blocks found, the simulated chain has 9"
    other = state(3, best_share="1" * 64)
    assert summary([*two, other], 0).startswith("2 best shares among 3 of 3 nodes;")
    assert summary([*two, NodeState(3, PAGE)], 0).startswith("1 best share among 2 of 3 nodes;")
    assert summary([state(1, best_share=None)], 0).startswith("no share yet;")
    assert summary([NodeState(1, PAGE)], 0).startswith("no node answers yet;")


def test_a_frame_goes_over_the_last_one_and_never_wraps():
    assert frame(["ab", "c"], 0, 80) == "\rab\x1b[K\n\rc\x1b[K\n"
    assert frame(["abcdef"], 3, 4) == "\x1b[3A\rabcd\x1b[K\n"


def test_places_and_command_lines(tmp_path):
    locations = make_locations(3, tmp_path)
    ports = [port for location in locations for port in (location.worker_port, location.peer_port)]
    assert len(set(ports)) == 6
    arguments = node_arguments(locations[0], locations[1], rpc_port=1001, p2p_port=1002)
    said = " ".join(arguments)
    assert f"-n 127.0.0.1:{locations[1].peer_port} " in said
    assert f"--p2pool-port 127.0.0.1:{locations[0].peer_port} " in said
    assert f"-w 127.0.0.1:{locations[0].worker_port} " in said
    assert "--dashd-rpc-port 1001 --dashd-p2p-port 1002" in said
    assert "0.0.0.0" not in said
    assert "-n" not in node_arguments(locations[0], None, rpc_port=1001, p2p_port=1002)
    assert all(location.directory.parent == tmp_path for location in locations)


def test_ports_are_different_and_free():
    assert len(set(free_ports(20))) == 20


def test_each_miner_has_an_address_of_its_own():
    addresses = {miner_address(number) for number in range(1, 51)}
    assert len(addresses) == 50
    assert all(address.startswith("y") for address in addresses)
