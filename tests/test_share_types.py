"""The way of a share's type through the node: out with every share, and in only if the type is known.

Shares of a second version (tests/share/layout_36.py) are valid to the last byte, so that nothing but their type
can be what keeps them out.
"""

from __future__ import annotations

import ast
import gzip
import sqlite3
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred, succeed

from p2pool.base.errors import ParseError
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.peers import messages
from p2pool.peers.broadcast import MAX_SHARES, ShareBroadcaster
from p2pool.peers.messages import Envelope, ShareReply, ShareReq, Shares
from p2pool.peers.transactions import TransactionPool
from p2pool.share.codec_16 import Codec16
from p2pool.share.share import Share
from p2pool.share.versions import MINTED, SHARE_VERSIONS, VERSION_16, ShareVersions, parse_envelope
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.importing import ImportCounts, read_share_files
from p2pool.sharechain.store import ShareDatabase, ShareStore, StoredShare
from p2pool.sharechain.tracker import Tracker
from tests.peers.wiring import NETWORK, Talk
from tests.share.layout_36 import NOW, VERSION_36, Codec36, mixed_chain
from tests.support import ROOT, parse_module
from tests.test_layering import imported

BOTH = ShareVersions(VERSION_16, VERSION_36)


@pytest.fixture(scope="module")
def shares() -> list[Share]:
    """One of type 16, one of type 36 on it, and so on."""
    return mixed_chain(Tracker(NETWORK), 6, turn=1)


@pytest.fixture
def read(monkeypatch) -> list[bytes]:
    """The contents that any codec begins to read, from now on."""
    begun: list[bytes] = []
    for codec in (Codec16, Codec36):

        def recording(self, reader, share, real=codec.read):
            begun.append(share.contents)
            return real(self, reader, share)

        monkeypatch.setattr(codec, "read", recording)
    return begun


def envelopes(shares) -> tuple[Envelope, ...]:
    return tuple(Envelope(share.version.type, share.contents) for share in shares)


# --- the registry ----------------------------------------------------------------------------------------


def test_the_node_knows_type_16_only():
    assert SHARE_VERSIONS.types == (16,)
    assert SHARE_VERSIONS.newest == 16
    assert BOTH.newest == 36
    assert SHARE_VERSIONS.get(16) is VERSION_16 is MINTED
    assert SHARE_VERSIONS.get(36) is None
    assert MINTED.type == SHARE_VERSION
    assert [SHARE_VERSIONS.is_obsolete(kind) for kind in (0, 15, 16, 17, 36)] == [True, True, False, False, False]
    assert BOTH.get(36) is VERSION_36


def test_no_other_version_is_made_and_no_other_list_of_them():
    """Whoever adds one does it in share/versions.py."""
    made = []
    for path in sorted((ROOT / "p2pool").rglob("*.py")):
        for node in ast.walk(parse_module(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "ShareVersion",
                "ShareVersions",
            ):
                made.append((path.name, ast.unparse(node.func)))
    assert made == [("versions.py", "ShareVersion"), ("versions.py", "ShareVersions")]


def test_codecs_are_imported_by_the_list_of_versions_only():
    """All other code takes the codec of a share's own version."""
    importing = {
        path.relative_to(ROOT / "p2pool").as_posix()
        for path in (ROOT / "p2pool").rglob("*.py")
        for _, name in imported(path)
        if name.startswith("p2pool.share.codec_")
    }
    assert importing == {"share/versions.py"}


# --- in --------------------------------------------------------------------------------------------------


def test_a_known_version_would_be_read_from_the_same_bytes(shares, read):
    """So that the tests below do not keep out what nobody could read."""
    for share in shares:
        assert parse_envelope(share.envelope, NETWORK, BOTH).hash == share.hash
    assert read == [share.contents for share in shares]


def test_type_36_in_shares_is_never_parsed(shares, read):
    talk = Talk()
    talk.say(Shares(envelopes(shares)))
    assert talk.hub.calls == [("shares", tuple(share.hash for share in shares[::2]))]
    assert read == [share.contents for share in shares[::2]]
    assert not talk.session.closed


def test_type_36_in_an_answer_is_never_parsed(shares, read):
    newest_first = [shares[2], shares[1]]
    talk, answers = Talk(), []
    talk.session.request(7, newest_first[0].hash, parents=5, stops=(), now=0.0, answered=answers.append)
    talk.say(ShareReply(7, messages.GOOD, envelopes(newest_first)))
    assert [[share.hash for share in answer] for answer in answers] == [[shares[2].hash]]
    assert read == [shares[2].contents]
    asked_for_it = Talk()
    asked_for_it.session.request(8, shares[1].hash, parents=0, stops=(), now=0.0, answered=answers.append)
    asked_for_it.say(ShareReply(8, messages.GOOD, envelopes([shares[1]])))
    assert answers[1:] == [[]]
    assert read == [shares[2].contents]
    assert not talk.session.closed
    assert not asked_for_it.session.closed


def test_type_36_in_an_envelope_is_never_parsed(shares, read):
    with pytest.raises(ParseError, match="share of type 36, not 16"):
        parse_envelope(shares[1].envelope, NETWORK)
    assert read == []


def test_type_36_in_share_files_is_never_parsed(shares, read, tmp_path):
    lines = b"".join(b"5 " + share.envelope.hex().encode() + b"\n" for share in shares)
    (tmp_path / "shares.0").write_bytes(lines)
    archived = ShareArchive(tmp_path).write(1, [(share.version.type, share.contents) for share in shares])
    assert gzip.decompress(archived.read_bytes()) == lines
    for path in (tmp_path / "shares.0", archived):
        counts = ImportCounts()
        known = [share.hash for share in read_share_files([path], NETWORK, counts)]
        assert known == [share.hash for share in shares[::2]]
        assert (counts.shares, counts.damaged) == (3, 3)
        assert counts.first_damage == f"{path.name} line 2: share of type 36, not 16"
    assert read == [share.contents for share in shares[::2]] * 2


def test_type_36_in_the_store_is_never_parsed(shares, read, tmp_path):
    stored(shares, tmp_path)
    database = ShareDatabase(tmp_path / "shares.sqlite")
    found = list(database.read(NETWORK))
    database.close()
    known = [each.share.hash for each in found if isinstance(each, StoredShare)]
    assert known == [share.hash for share in shares[::2]]
    assert [each for each in found if isinstance(each, str)] == [
        f"stored share {share.hash:064x} is of type 36, not 16" for share in shares[1::2]
    ]
    assert read == [share.contents for share in shares[::2]]


# --- out -------------------------------------------------------------------------------------------------


def stored(shares: list[Share], directory) -> None:
    """Write the shares as the node does."""
    store = ShareStore(ShareDatabase(directory / "shares.sqlite"), lambda write: succeed(write()))
    for share in shares:
        store.add(share, NOW, own=False)
    written: list = []
    Deferred.fromCoroutine(store.close()).addBoth(written.append)
    assert written == [None]


def test_the_store_keeps_the_type_of_each_share(shares, tmp_path):
    stored(shares, tmp_path)
    connection = sqlite3.connect(tmp_path / "shares.sqlite")
    assert connection.execute("SELECT type FROM shares ORDER BY absheight").fetchall() == [(16,), (36,)] * 3
    connection.close()
    database = ShareDatabase(tmp_path / "shares.sqlite")
    assert [each.share.envelope for each in database.read(NETWORK, BOTH)] == [share.envelope for share in shares]
    database.close()


def test_old_shares_are_archived_with_their_type(shares, tmp_path, monkeypatch):
    monkeypatch.setattr("p2pool.sharechain.store.ARCHIVE_BATCH", len(shares))
    stored(shares, tmp_path)
    database = ShareDatabase(tmp_path / "shares.sqlite")
    connection = sqlite3.connect(tmp_path / "shares.sqlite")
    connection.execute("UPDATE shares SET pruned = 1")
    connection.commit()
    connection.close()
    path = database.move_to(ShareArchive(tmp_path))
    database.close()
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert lines == [b"5 " + share.envelope.hex().encode() for share in shares]


def test_shares_are_sent_with_their_type(shares):
    newest_first = shares[::-1]
    listener = Talk()
    ShareBroadcaster(TransactionPool(), lambda share_hash: None).broadcast(newest_first, [listener.session])
    (said,) = listener.heard.take(Shares)
    assert said.shares == envelopes(newest_first[:MAX_SHARES])
    asker = Talk()
    asker.hub.held = tuple(newest_first)
    asker.say(ShareReq(9, (newest_first[0].hash,), 5, ()))
    (reply,) = asker.heard.take(ShareReply)
    assert reply.shares == envelopes(newest_first)


def test_a_share_cannot_take_another_type_on_its_way(shares):
    """The type that a share was parsed as is the one that it goes on with."""
    for share in shares:
        again = parse_envelope(share.envelope, replace(NETWORK), BOTH)
        assert again.envelope == share.envelope
        assert again.envelope[0] == again.version.type == share.version.type
