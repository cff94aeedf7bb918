"""Shares of a newer type than we know, in every place where they can come: left out, counted, and never
punished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.peers.download import NEWER_REST, PARENTS
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import (
    GOOD,
    MAX_PAYLOAD,
    MAX_SHARES,
    AddrMe,
    Envelope,
    ForgetTx,
    RememberTx,
    ShareReply,
    Shares,
    parse_message,
)
from p2pool.peers.newer_types import GROWTH, LAST_COUNTED, MAX_HOSTS, MAX_WARNINGS, WARN_PERIOD, NewerTypes
from p2pool.wire.codec import pack_varint
from p2pool.wire.framer import Framer, PayloadTooLong, frame
from tests.logged import logged
from tests.peers.test_session import ask
from tests.peers.wiring import (
    PREFIX,
    Depot,
    Guest,
    Moment,
    Recorder,
    Talk,
    chain,
    envelope,
    make_hub,
    transaction,
    version,
)

SHARES = chain(12)[::-1]
"""The newest first, as they travel."""
KINDS = (17, 36, 127, 128, 255, 2**32, 2**64 - 1)
CONTENTS = (b"", b"\x00", b"\xff" * 199, b"x" * 295, b"\xfd" * 100_000)
"""Shorter and longer than any share that is known, and of no form at all."""


def newer(kind: int = 36, contents: bytes = b"36") -> Envelope:
    return Envelope(kind, contents)


# --- in `shares` -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contents", CONTENTS, ids=len)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_in_a_message_is_left_out_and_the_rest_is_kept(place, contents):
    talk = Talk()
    envelopes = [envelope(share) for share in SHARES[:2]]
    envelopes.insert(place, newer(36, contents))
    talk.say(Shares(tuple(envelopes)))
    assert talk.hub.calls == [("shares", tuple(share.hash for share in SHARES[:2]))]
    assert talk.hub.newer == [36]


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_above_ours_is_counted(kind):
    talk = Talk()
    talk.say(Shares((newer(kind), envelope(SHARES[0]), newer(kind))))
    assert talk.hub.newer == [kind] * 2
    assert talk.hub.calls == [("shares", (SHARES[0].hash,))]


def test_a_message_of_nothing_else_however_long_or_often_costs_its_sender_nothing():
    talk = Talk()
    for contents in (b"", bytes(100_000), bytes(MAX_PAYLOAD - 7)):
        count = min(1000, MAX_PAYLOAD // (len(contents) + 6))
        talk.say(*[Shares((newer(40, contents),) * count)] * 3)
    assert set(talk.hub.newer) == {40}
    assert "shares" not in talk.hub.names()


def test_more_than_there_can_be_of_known_shares_are_passed_over():
    talk = Talk()
    payload = pack_varint(1_500_000) + b"\x24\x00" * 1_500_000
    talk.raw(frame(PREFIX, "shares", payload) + frame(PREFIX, "addrme", AddrMe(5).pack()))
    assert len(talk.hub.newer) == MAX_SHARES
    assert talk.hub.calls == [("listens", 5)]
    message = parse_message("shares", payload)
    assert isinstance(message, Shares)
    assert len(message.shares) == MAX_SHARES


NEWER = st.builds(Envelope, st.integers(17, 2**64 - 1), st.binary(max_size=400))


@given(st.lists(st.one_of(NEWER, st.sampled_from(SHARES).map(envelope)), max_size=20), st.integers(1, 4))
def test_whatever_such_shares_are_the_others_are_taken_and_nobody_is_dropped(envelopes, parts):
    talk = Talk()
    size = len(envelopes) // parts + 1
    talk.say(*(Shares(tuple(envelopes[start : start + size])) for start in range(0, len(envelopes), size)))
    known = {envelope(share): share.hash for share in SHARES}
    taken = [share_hash for call in talk.hub.calls if call[0] == "shares" for share_hash in call[1]]
    assert taken == [known[each] for each in envelopes if each.kind == 16]
    assert talk.hub.newer == [each.kind for each in envelopes if each.kind > 16]
    assert not talk.session.closed


def test_a_list_that_cannot_fit_is_malformed_all_the_same():
    with pytest.raises(Misbehaviour, match="malformed"):
        Talk().raw(frame(PREFIX, "shares", pack_varint(3) + b"\x24\x00\x24\x00\x24"))
    with pytest.raises(Misbehaviour, match="invalid share"):
        Talk().say(Shares((newer(), Envelope(16, b"short"))))


def test_transactions_that_come_for_such_a_share_are_kept_and_given_up_as_for_any():
    talk = Talk()
    transactions = [transaction(number) for number in range(3)]
    talk.say(
        RememberTx((), tuple(transactions)),
        Shares((newer(), envelope(SHARES[0]))),
        ForgetTx(tuple(each.hash for each in transactions)),
        RememberTx((), tuple(transactions)),
    )
    assert set(talk.session.remembered) == {each.hash for each in transactions}
    assert talk.hub.calls == [("shares", (SHARES[0].hash,))]


# --- in `sharereply` ---------------------------------------------------------------------------------------------


def answer_of(talk: Talk, share_hash: int, *envelopes: Envelope):
    answers: list = []
    talk.session.request(1, share_hash, parents=499, stops=(), now=0.0, answered=answers.append)
    talk.say(ShareReply(1, GOOD, envelopes))
    (answer,) = answers
    return answer


def test_in_the_middle_of_a_chain_the_shares_on_both_sides_are_taken():
    talk = Talk()
    envelopes = [envelope(share) for share in SHARES[:6]]
    envelopes[2] = newer()
    answer = answer_of(talk, SHARES[0].hash, *envelopes)
    assert [share.hash for share in answer] == [SHARES[n].hash for n in (0, 1, 3, 4, 5)]
    assert answer.newer == [SHARES[2].hash]
    assert talk.hub.newer == [36]


def test_several_in_a_row_are_known_by_the_first_ones_hash_only():
    answer = answer_of(Talk(), 9, newer(), newer(40, b""), newer(), *map(envelope, SHARES[3:5]), newer())
    assert [share.hash for share in answer] == [share.hash for share in SHARES[3:5]]
    assert answer.newer == [9, SHARES[5].hash]


def test_below_one_the_shares_must_still_follow_each_other():
    answer = answer_of(Talk(), 9, newer(), *map(envelope, (SHARES[3], SHARES[5], SHARES[4])))
    assert [share.hash for share in answer] == [SHARES[3].hash]


def test_nothing_is_taken_beyond_the_chain_s_first_share():
    first = chain(1)[0]
    answer = answer_of(Talk(), first.hash, envelope(first), *map(envelope, SHARES[:2]))
    assert [share.hash for share in answer] == [first.hash]


# --- downloading -------------------------------------------------------------------------------------------------


def test_no_peer_is_asked_again_and_again_for_a_share_that_it_says_is_newer():
    depot, asked = Depot(3), []
    depot.pool.missing = [SHARES[2].hash]
    for second in range(600):
        for talk, request in depot.step(float(second)):
            asked.append(talk)
            talk.say(ShareReply(request.id, GOOD, (newer(),)))
    assert len(asked) == len({id(talk) for talk in asked}) == 3
    assert depot.downloader._turns == {}
    assert len(depot.step(NEWER_REST + 3)) == 1


def test_a_peer_that_lies_keeps_nobody_from_the_share():
    depot = Depot(2)
    depot.pool.missing = [SHARES[2].hash]
    ((liar, request),) = depot.step(0.0)
    liar.say(ShareReply(request.id, GOOD, (newer(),)))
    ((honest, request),) = depot.step(0.0)
    assert honest is not liar
    honest.say(ShareReply(request.id, GOOD, (envelope(SHARES[2]),)))
    assert depot.pool.came == [([SHARES[2].hash], honest.session.label)]


def test_a_peer_is_asked_for_other_shares_meanwhile():
    depot = Depot(1)
    depot.pool.missing = [SHARES[2].hash]
    ((talk, request),) = depot.step(0.0)
    talk.say(ShareReply(request.id, GOOD, (newer(),)))
    depot.pool.missing = [SHARES[2].hash, SHARES[5].hash]
    ((talk, request),) = depot.step(1.0)
    assert request.hashes == (SHARES[5].hash,)


def test_a_best_share_of_a_newer_type_leads_to_the_chain_below_it_once():
    depot = Depot(1)
    (talk,) = depot.talks
    depot.downloader.fetch(77, talk.session, 0.0)
    ((_, request),) = depot.asked()
    assert (request.hashes, request.parents) == ((77,), 0)
    talk.say(ShareReply(request.id, GOOD, (newer(),)))
    ((_, request),) = depot.asked()
    assert (request.hashes, request.parents) == ((77,), PARENTS - 1)
    talk.say(ShareReply(request.id, GOOD, (newer(), newer(), *map(envelope, SHARES[:3]))))
    assert depot.pool.came == [([share.hash for share in SHARES[:3]], talk.session.label)]
    assert depot.asked() == []
    assert depot.downloader._turns == {}


def test_a_chain_of_nothing_but_newer_shares_ends_the_search():
    depot = Depot(1)
    (talk,) = depot.talks
    depot.downloader.fetch(77, talk.session, 0.0)
    for _ in range(2):
        ((_, request),) = depot.asked()
        talk.say(ShareReply(request.id, GOOD, (newer(),) * (request.parents + 1)))
    assert depot.asked() == depot.step(50.0) == []
    assert depot.pool.came == []


# --- answers that are too long -----------------------------------------------------------------------------------


def too_long(request_id: int, length: int = 32 << 20) -> bytes:
    """The beginning of a sharereply as c2pool-dash can send it."""
    header = PREFIX + b"sharereply".ljust(12, b"\0") + length.to_bytes(4, "little") + bytes(4)
    return header + request_id.to_bytes(32, "little")


def test_an_answer_that_is_too_long_is_one_without_shares():
    talk = Talk()
    answer = ask(talk, SHARES[0].hash)
    data = too_long(1) + bytes(MAX_PAYLOAD * 2)
    with logged() as log:
        talk.raw(data[:60])
        talk.raw(data[60:])
        talk.raw(data)
        talk.say(AddrMe(3))
    assert answer.answers == [[]]
    assert talk.session.requests == 0
    assert talk.hub.calls == [("listens", 3)]
    (line,) = log.lines
    assert line.startswith(f"peer {talk.session.label} sent an answer of 33554432 bytes, limit 3145728: ")
    talk.session.check_time(16.0)


def test_one_that_nobody_asked_for_and_one_before_version_are_passed_over():
    talk, early = Talk(), Talk(ready=False)
    for each in (talk, early):
        answer = ask(each, 1)
        each.raw(too_long(2) + bytes(50))
        assert (answer.answers, each.session.closed) == ([], False)


def test_the_framer_reports_the_beginning_of_what_is_too_long_where_that_is_wanted():
    framer = Framer(b"prefix", 100, {"a": 3})
    head = b"prefix" + b"a".ljust(12, b"\0") + (101).to_bytes(4, "little") + bytes(4)
    framer.add(head + b"xy")
    assert framer.next_message() is None
    framer.add(b"z and more")
    with pytest.raises(PayloadTooLong) as error:
        framer.next_message()
    assert (error.value.command, error.value.length, error.value.head) == ("a", 101, b"xyz")
    framer.add(frame(b"prefix", "b", b"well"))
    assert framer.next_message() == ("b", b"well")


# --- what is made known of them ----------------------------------------------------------------------------------


class Table:
    def __init__(self) -> None:
        self.types, self.now = NewerTypes(), 1e9

    def send(self, kind: int = 36, count: int = 1, host: str = "1.2.3.4") -> int:
        """How many lines that is worth."""
        lines = 0
        for _ in range(count):
            row = self.types.record(kind, peer=f"{host}:9", host=host, software="c2pool", now=self.now)
            lines += row is not None
        return lines


def test_a_line_for_the_first_then_one_an_hour_or_when_ten_times_as_many_came():
    table = Table()
    counts = (1, GROWTH - 2, 1, GROWTH**2 - GROWTH)
    assert [table.send(count=count) for count in counts] == [1, 0, 1, 1]
    table.now += WARN_PERIOD - 1
    assert table.send() == 0
    table.now += 1
    assert [table.send(), table.send()] == [1, 0]


def test_a_row_says_who_sent_the_first_one_how_many_came_and_since_when():
    table = Table()
    table.send()
    table.now += 60
    table.send(count=2, host="5.6.7.8")
    (row,) = table.types.rows()
    assert (row.kind, row.name, row.shares, row.hosts) == (36, "36", 3, 2)
    assert (row.peer, row.software) == ("1.2.3.4:9", "c2pool")
    assert (row.first_seen, row.last_seen) == (1e9, 1e9 + 60)


def test_who_invents_types_fills_a_bounded_table_and_pushes_none_out():
    table = Table()
    table.send(36)
    lines = sum(table.send(kind) for kind in range(17, 5000))
    rows = table.types.rows()
    assert [row.kind for row in rows] == [*range(17, LAST_COUNTED + 1), None]
    assert rows[-1].name == "other"
    assert rows[-1].shares == 4999 - LAST_COUNTED
    assert next(row.shares for row in rows if row.kind == 36) == 2
    assert lines < MAX_WARNINGS
    table.now += WARN_PERIOD
    assert sum(table.send(kind) for kind in range(17, 5000)) == MAX_WARNINGS


def test_so_many_hosts_are_distinguished():
    table = Table()
    for number in range(2 * MAX_HOSTS):
        table.send(host=f"10.0.{number // 250}.{number % 250}")
    assert table.types.rows()[0].hosts == MAX_HOSTS


def test_one_warning_for_all_peers_that_send_a_type_and_no_ban():
    moment = Moment()
    hub = make_hub(moment)
    guests = [Guest(hub, f"8.{number}.0.1", nonce=number) for number in range(1, 5)]
    with logged() as log:
        for guest in guests:
            guest.say(Shares((newer(36, b""),) * 2), Shares((newer(), envelope(SHARES[0]))))
    (first, second) = log.lines
    assert first.startswith("peer 8.1.0.1:4000 (test) sends shares of type 36, which this version cannot read: ")
    assert "1 of them since 2" in first
    assert "10 of them" in second
    assert [guest.ended for guest in guests] == [None] * 4
    assert not hub.bans.to_json()
    (row,) = hub.census().newer_types
    assert (row.shares, row.hosts) == (12, 4)
    assert SHARES[0].hash in hub._pool.tracker  # type: ignore[attr-defined]


def test_a_hostile_name_in_the_warning_is_harmless():
    hub = make_hub(Moment())
    guest = Guest(hub)
    said = replace(version(4), sub_version=b"{peer}\n\x1b[2Jroot: all is well" + b"x" * 400)
    with logged() as log:
        guest.say(said, Shares((newer(),)))
    assert log.tracebacks == []
    assert all(len(line) < 400 and line.isprintable() for line in log.lines)


def test_a_recorder_takes_an_answer_as_shares():
    recorder = Recorder()
    talk = Talk()
    talk.session.request(1, SHARES[0].hash, parents=5, stops=(), now=0.0, answered=recorder)
    talk.say(ShareReply(1, GOOD, (envelope(SHARES[0]), newer(), envelope(SHARES[4]))))
    assert recorder.answers == [[SHARES[0].hash, SHARES[4].hash]]


def test_a_dropped_peer_is_not_banned_for_what_else_it_does():
    """The transactions of the shares that are taken must still be known."""
    share = chain(1, with_transactions=True)[0]
    with pytest.raises(Drop) as error:
        Talk().say(Shares((newer(), envelope(share))))
    assert type(error.value) is Drop
