"""What a process hands over, whole and in the form that every version reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.app.handover import BASIC_FORM, FORM, HandedOver, HandoverRecord, PortRecord
from p2pool.app.take_over import refusal_of
from p2pool.base.errors import ParseError
from p2pool.networks import DASH, DASH_REGTEST
from p2pool.stratum.handover_export import export_miners
from p2pool.stratum.handover_import import restore_shared
from p2pool.stratum.handover_records import MinersRecord
from tests.stratum.miner import ADDRESS, EASY, NOW, Miner
from tests.stratum.test_handover import fresh

FIRST_BASIC_FORM = "4c679c8ac1e157e4"


def saved_session() -> tuple[Miner, MinersRecord]:
    """A miner that has left, and the record of its server."""
    miner = Miner()
    miner.login()
    miner.session.connection_lost(NOW)
    return miner, export_miners(miner.context, [], NOW)


def handed(miners: MinersRecord, **changes) -> HandedOver:
    return HandedOver(replace(HandoverRecord(NOW, (), (), miners), **changes), ())


def test_the_whole_record_is_read_again():
    _, miners = saved_session()
    before = handed(miners)
    after = HandedOver.parse(before.document(whole=True), [], whole=True, network=DASH_REGTEST)
    assert after == before


def test_another_version_resumes_sessions():
    gone, miners = saved_session()
    document = handed(miners).document(whole=False)
    record = HandedOver.parse(document, [], whole=False, network=DASH_REGTEST).record.miners
    context = fresh(gone)
    assert restore_shared(context, record).connections == []
    context.registry.work_changed(0xABCD, True, NOW)
    back = Miner(context=context)
    back.call("mining.subscribe", "test/1", gone.session.state.session_id)
    assert back.session.extranonce1 == gone.extranonce1
    assert back.session.vardiff.difficulty == gone.session.vardiff.difficulty
    _, *rest = back.call("mining.authorize", ADDRESS, "x")
    (notify,) = [message["params"] for message in rest if message["method"] == "mining.notify"]
    assert notify[0] not in gone.session.state.jobs, "an id of the former process"
    assert back.submit(notify, back.find(notify, EASY))[0]["result"] is True


def test_the_form_that_every_version_reads_does_not_change():
    """Whoever has to change it gives it a new name, and reads this one as well."""
    assert BASIC_FORM == FIRST_BASIC_FORM


def test_sessions_of_another_network_are_an_error():
    _, miners = saved_session()
    with pytest.raises(ParseError, match="network"):
        HandedOver.parse(handed(miners).document(whole=False), [], whole=False, network=DASH)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b"null", b"[1,[],[],[]]", b"\xff"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_no_record_is_an_error(document, whole):
    with pytest.raises(ParseError):
        HandedOver.parse(document, [], whole=whole, network=DASH_REGTEST)


def test_a_session_with_an_impossible_difficulty_is_an_error():
    _, miners = saved_session()
    (saved,) = miners.saved
    vardiff = replace(saved.state.vardiff, minimum=0.0, maximum=0.0, difficulty=0.0)
    record = replace(miners, saved=(replace(saved, state=replace(saved.state, vardiff=vardiff)),))
    document = handed(record).document(whole=False)
    with pytest.raises(ParseError):
        restore_shared(
            fresh(Miner()),
            HandedOver.parse(document, [], whole=False, network=DASH_REGTEST).record.miners,
        )


def test_there_are_as_many_sockets_as_the_record_says():
    _, miners = saved_session()
    with pytest.raises(ParseError, match="0 sockets instead of 1"):
        handed(miners, ports=(PortRecord("miners", "", 1),))


@pytest.mark.parametrize(
    ("hello", "refused"),
    [
        ({"form": FORM, "basic": BASIC_FORM, "version": "1"}, False),
        ({"form": "x", "basic": BASIC_FORM, "version": "2"}, False),
        ({"form": "x", "basic": "y", "version": "2"}, True),
        ({"form": 1}, True),
        ({}, True),
        ([], True),
        (None, True),
    ],
)
def test_who_may_take_over(hello, refused):
    assert (refusal_of(hello) is not None) is refused
