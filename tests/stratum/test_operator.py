"""What an operator can have done to miners: whom it reaches, and what makes no sense."""

from __future__ import annotations

import math

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from p2pool.dash.pow import x11
from p2pool.pool_stats import BanRecord
from p2pool.stratum.guard import GuardSettings, ip_network
from p2pool.stratum.job_registry import GRACE
from p2pool.stratum.operator import MAX_BAN, MAX_MESSAGE, MAX_WAIT, Operator
from p2pool.stratum.session_context import VERSION_MASK
from tests.logged import logged
from tests.stratum.miner import ADDRESS, EASY, NOW, OTHER_ADDRESS, Miner, code
from tests.stratum.wire import StratumHarness, line, notifies


def make(guard: GuardSettings | None = None) -> tuple[StratumHarness, Operator]:
    harness = StratumHarness(guard=guard)
    return harness, Operator(harness.server, harness.now)


def miner(harness: StratumHarness, username: str = ADDRESS):
    """An authorized one, with nothing unread."""
    protocol, wire = harness.miner(username)
    wire.clear()
    return protocol, wire


def rolling(harness: StratumHarness, mask: str = "ffffffff"):
    """One that has negotiated version rolling and is authorized."""
    protocol, wire = harness.connect()
    protocol.dataReceived(
        line("mining.configure", ["version-rolling"], {"version-rolling.mask": mask})
        + line("mining.subscribe", "test/1")
        + line("mining.authorize", ADDRESS, "x")
    )
    return protocol, wire


def sent(wire) -> list[tuple]:
    """(method, params) of what came."""
    return [(message.get("method"), message.get("params")) for message in wire.messages()]


# --- messages --------------------------------------------------------------------------------------------------


def test_a_message_reaches_everyone_who_is_authorized():
    harness, operator = make()
    wires = [miner(harness, f"{ADDRESS}.{n}")[1] for n in range(3)]
    _, fresh_wire = harness.connect()
    half, half_wire = harness.connect()
    half.dataReceived(line("mining.subscribe", "x"))
    early, early_wire = harness.connect()
    early.dataReceived(line("mining.authorize", ADDRESS, "x"))
    for wire in (half_wire, early_wire):
        wire.clear()
    with logged() as log:
        assert operator.show_message("  back\nat noon ") == 3
    assert len(log.lines) == 1
    for wire in wires:
        (message,) = wire.messages()
        assert message == {"id": None, "method": "client.show_message", "params": ["back?at noon"]}
    assert [wire.messages() for wire in (fresh_wire, half_wire, early_wire)] == [[], [], []]
    # and what was said before they came is not made up for
    half.dataReceived(line("mining.authorize", ADDRESS, "x"))
    assert "client.show_message" not in [method for method, _ in sent(half_wire)]


def test_a_message_for_one_worker():
    harness, operator = make()
    _, rig = miner(harness, ADDRESS + ".rig")
    second, same = miner(harness, ADDRESS + "_rig+4")  # another way to write it
    both, shared = miner(harness, ADDRESS + ".other")
    both.dataReceived(line("mining.authorize", ADDRESS + ".rig", "x"))
    _, stranger = miner(harness, OTHER_ADDRESS + ".rig")
    _, bare = miner(harness, ADDRESS)
    shared.clear()
    assert operator.show_message("hello", ADDRESS + ".rig") == 3
    for wire in (rig, same, shared):
        assert sent(wire) == [("client.show_message", ["hello"])]
    assert operator.show_message("hello", ADDRESS) == 1
    assert sent(bare) == [("client.show_message", ["hello"])]
    assert operator.show_message("hello", "nobody") == 0
    assert operator.show_message("hello", "") == 0
    assert stranger.messages() == rig.messages() == []
    second.connectionLost()
    assert operator.show_message("hello", ADDRESS + ".rig") == 2


def test_messages_are_bounded_and_never_empty():
    harness, operator = make()
    _, wire = miner(harness)
    operator.show_message("x" * 5000)
    assert sent(wire) == [("client.show_message", ["x" * MAX_MESSAGE])]
    for text in ("", " \n\t "):
        with pytest.raises(ValueError, match="empty"):
            operator.show_message(text)
    assert wire.messages() == []


def test_nobody_is_there():
    _, operator = make()
    assert operator.show_message("hello") == operator.reconnect() == operator.set_version_mask(0) == 0
    assert operator.bans() == ()


# --- reconnect -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        ((), []),
        (("", 0, 30), [None, None, 30]),
        (("", 7904, 3), [None, 7904, 3]),
        (("", 7904), [None, 7904, 0]),
        (("pool.example", 7903), ["pool.example", 7903, 0]),
        (("pool.example", 65535, MAX_WAIT), ["pool.example", 65535, MAX_WAIT]),
        (("pool\n.example", 1, 0), ["pool?.example", 1, 0]),
    ],
)
def test_reconnect(arguments, params):
    wanted = dict(zip(("host", "port", "wait"), arguments, strict=False))
    harness, operator = make()
    wires = [miner(harness, f"{ADDRESS}.{n}")[1] for n in range(3)]
    half, half_wire = harness.connect()
    half.dataReceived(line("mining.subscribe", "x"))
    half_wire.clear()
    assert operator.reconnect(**wanted) == 3
    for wire in wires:
        assert sent(wire) == [("client.reconnect", params)]
        assert not wire.disconnecting
    assert half_wire.messages() == []
    assert operator.reconnect(**wanted, worker=ADDRESS + ".1") == 1
    assert [len(wire.messages()) for wire in wires] == [0, 1, 0]


@pytest.mark.parametrize(
    ("host", "port", "wait", "text"),
    [
        ("pool.example", 0, 0, "port 0"),
        ("pool.example", 65536, 0, "port 65536"),
        ("pool.example", -1, 0, "port -1"),
        ("pool.example", 1, -1, "wait -1"),
        ("", 0, MAX_WAIT + 1, f"wait {MAX_WAIT + 1}"),
        ("", 65536, 0, "port 65536"),
        ("", -1, 0, "port -1"),
    ],
)
def test_reconnect_makes_sense(host, port, wait, text):
    harness, operator = make()
    _, wire = miner(harness)
    with pytest.raises(ValueError, match=text):
        operator.reconnect(host=host, port=port, wait=wait)
    assert wire.messages() == []


def test_an_internal_error_of_one_connection_does_not_keep_the_others_from_it():
    harness, operator = make()
    miners = [miner(harness) for _ in range(3)]
    miners[1][0].flush = lambda: 1 // 0
    with logged() as log:
        operator.show_message("hello")
    assert len(log.tracebacks) == 1
    assert miners[1][1].aborted
    assert [len(miners[n][1].messages()) for n in (0, 2)] == [1, 1]


# --- version mask ----------------------------------------------------------------------------------------------


def test_a_mask_is_sent_to_those_who_negotiated_one():
    harness, operator = make()
    _, plain = miner(harness)
    (_, wide), (_, narrow), (_, outside) = (
        rolling(harness, mask) for mask in ("ffffffff", "00ffe000", "10000000")
    )
    for wire in (wide, narrow, outside):
        wire.clear()
    assert operator.set_version_mask(0x10FFE000) == 3
    assert sent(wide) == [("mining.set_version_mask", ["10ffe000"])]
    assert narrow.messages() == outside.messages() == []  # theirs is what it was
    assert operator.set_version_mask(0x00004000) == 3
    assert sent(wide) == sent(narrow) == [("mining.set_version_mask", ["00004000"])]
    assert sent(outside) == [("mining.set_version_mask", ["00000000"])]
    assert operator.set_version_mask(VERSION_MASK) == 3
    assert sent(narrow) == [("mining.set_version_mask", ["00ffe000"])]
    assert plain.messages() == []
    protocol, wire = harness.connect()
    operator.set_version_mask(0xE000)
    protocol.dataReceived(line("mining.configure", ["version-rolling"], {}))
    assert wire.messages()[0]["result"]["version-rolling.mask"] == "0000e000"


def test_who_is_not_authorized_yet_gets_the_mask_after_that():
    harness, operator = make()
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.configure", ["version-rolling"], {}) + line("mining.subscribe", "x"))
    assert wire.messages()[0]["result"]["version-rolling.mask"] == f"{VERSION_MASK:08x}"
    operator.set_version_mask(0xE000)
    assert wire.messages() == []
    protocol.dataReceived(line("mining.authorize", ADDRESS, "x"))
    answer, *rest = wire.messages()
    assert answer["result"] is True
    methods = [message["method"] for message in rest]
    assert methods[:2] == ["mining.set_difficulty", "mining.notify"]
    assert methods.count("mining.set_version_mask") == 1
    assert protocol.session.version_mask == 0xE000
    (told,) = [message for message in rest if message["method"] == "mining.set_version_mask"]
    assert told["params"] == ["0000e000"]


@pytest.mark.parametrize("mask", [-1, 2**32, 2**64])
def test_a_mask_has_32_bits(mask):
    harness, operator = make()
    with pytest.raises(ValueError, match="32 bits"):
        operator.set_version_mask(mask)
    assert harness.server.version_mask == VERSION_MASK


class Worker:
    """A miner that rolls versions."""

    header = Miner.header

    def __init__(self, harness: StratumHarness) -> None:
        self.protocol, self.wire = rolling(harness)
        self.extranonce1 = self.protocol.session.extranonce1
        (self.notify,) = notifies(self.wire.messages())

    def find(self, bits: int, start: int = 0) -> int:
        """A nonce for a version with these bits."""
        version = int(self.notify[5], 16) & ~VERSION_MASK | bits
        for nonce in range(start, start + 3_000_000):
            if x11(self.header(self.notify, bytes(4), self.notify[7], nonce, f"{version:08x}")) <= EASY:
                return nonce
        raise RuntimeError("nothing found")

    def submit(self, nonce: int, bits: int) -> list[dict]:
        self.protocol.dataReceived(
            line(
                "mining.submit",
                ADDRESS,
                self.notify[0],
                "00000000",
                self.notify[7],
                f"{nonce:08x}",
                f"{bits:08x}",
            )
        )
        return self.wire.messages()


def test_the_former_mask_counts_for_what_is_in_work_and_no_longer():
    harness, operator = make()
    worker = Worker(harness)
    one = worker.find(0x2000)
    two = worker.find(0x2000, one + 1)
    three = worker.find(0x2000, two + 1)
    allowed = worker.find(0x4000)
    assert worker.submit(one, 0x2000)[0]["result"] is True
    operator.set_version_mask(0x4000)
    worker.wire.clear()
    assert code(worker.submit(one, 0x2000)) == 22
    harness.reactor.advance(GRACE)
    assert worker.submit(two, 0x2000)[0]["result"] is True
    harness.reactor.advance(1)
    assert code(worker.submit(three, 0x2000)) == 20
    assert worker.submit(allowed, 0x4000)[0]["result"] is True


# --- bans ------------------------------------------------------------------------------------------------------


def test_ban_closes_and_unban_lets_in_again():
    harness, operator = make()
    _, wire = miner(harness)
    _, other = harness.connect("10.0.0.2")
    record = operator.ban("10.0.0.1", 60, "because\nof that")
    assert record == BanRecord("10.0.0.1", NOW, NOW + 60, "because?of that")
    assert operator.bans() == (record,)
    harness.reactor.advance(0)
    assert wire.disconnecting
    assert not other.disconnecting
    assert harness.connect()[1].disconnecting
    assert operator.unban("10.0.0.1")
    assert not operator.unban("10.0.0.1")
    assert operator.bans() == ()
    assert not harness.connect()[1].disconnecting


def test_a_ban_ends():
    harness, operator = make()
    operator.ban("10.0.0.1", 60)
    harness.reactor.advance(59)
    assert harness.connect()[1].disconnecting
    harness.reactor.advance(1)
    assert not harness.connect()[1].disconnecting


@pytest.mark.parametrize(
    ("host", "listed", "banned"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1/32", "10.0.0.1", "::ffff:10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::/64", "2001:db8::ffff:1"),
        ("2001:db8::/64", "2001:db8::/64", "2001:db8::1"),
    ],
)
def test_however_a_host_is_written(host, listed, banned):
    harness, operator = make()
    assert operator.ban(host, 60).host == listed
    assert harness.connect(banned)[1].disconnecting
    assert not harness.connect("2001:db8:0:1::1")[1].disconnecting
    assert operator.unban(listed)
    assert not harness.connect(banned)[1].disconnecting


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("", "not an IP address"),
        ("pool.example", "not an IP address"),
        ("10.0.0.1:80", "not an IP address"),
        ("10.0.0.1/8", "not an IP address"),
        ("x" * 5000, "not an IP address"),
        ("10.0.0.0/8", "give an IPv4 address"),  # it would be listed, and keep nobody out
        ("2001:db8::/48", "or its /64"),
        ("2001:db8::1/128", "or its /64"),
        ("127.0.0.1", "never banned"),
        ("::1", "never banned"),
        ("192.168.7.7", "never banned"),
        ("2001:db8:5::/64", "never banned"),
    ],
)
def test_hosts_that_cannot_be_banned(host, text):
    allowed = (ip_network("192.168.0.0/16"), ip_network("2001:db8:5::1/128"))
    _, operator = make(GuardSettings(allowed=allowed))
    with pytest.raises(ValueError, match=text) as caught:
        operator.ban(host, 60)
    assert len(str(caught.value)) < 200
    assert operator.bans() == ()


@pytest.mark.parametrize("seconds", [0, -1, MAX_BAN * 1.01, math.inf, math.nan])
def test_how_long_a_ban_may_be(seconds):
    _, operator = make()
    with pytest.raises(ValueError, match="seconds"):
        operator.ban("10.0.0.1", seconds)
    assert operator.bans() == ()
    assert operator.ban("10.0.0.1", MAX_BAN).until == NOW + MAX_BAN


def test_who_is_unbanned_has_to_be_an_address_too():
    _, operator = make()
    with pytest.raises(ValueError, match="not an IP address"):
        operator.unban("nonsense")


def test_a_version_mask_that_changes_nothing_is_not_logged():
    _, operator = make()
    with logged() as log:
        operator.set_version_mask(VERSION_MASK)
        operator.set_version_mask(0xE000)
        operator.set_version_mask(0xE000)
    assert log.lines == ["set the version mask of miners to 0000e000"]


# --- secrets for alerts ------------------------------------------------------------------------------------------


def test_the_secret_of_a_connected_miner_proves_its_address():
    harness, operator = make()
    protocol, _ = harness.connect()
    secret = "correct horse"
    protocol.dataReceived(
        line("mining.subscribe", "test/1")
        + line("mining.authorize", f"{ADDRESS}.rig", f"d=1,alerts={secret}")
        + line("mining.authorize", f"{ADDRESS}.two", "alerts=that of another worker")
    )
    miner(harness, OTHER_ADDRESS)
    assert operator.has_secret(ADDRESS, secret)
    assert operator.has_secret(ADDRESS, f" {secret} ")
    for address, wrong in ((ADDRESS, secret + "x"), (OTHER_ADDRESS, secret), (ADDRESS, ""), (ADDRESS, "x")):
        assert not operator.has_secret(address, wrong)
    protocol.connectionLost(Failure(ConnectionDone()))
    assert not operator.has_secret(ADDRESS, secret)
