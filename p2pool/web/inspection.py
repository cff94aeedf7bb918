"""/web/...: the share chain, looked up when asked. No answer costs more than what it tells: lists are bounded, and
the one figure that has to be computed, a share's coinbase, is kept for the last few shares asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import orjson
from twisted.web.http import BAD_REQUEST, NOT_FOUND
from twisted.web.server import Request

from p2pool.node import Node
from p2pool.share.share import Share
from p2pool.web.api import chain
from p2pool.web.api.shares import Rebuilds, share_details
from p2pool.web.resources import JSON_TYPE, GetResource, error
from p2pool.web.sources import Sources, script_to_text

_HASH = re.compile(rb"[0-9a-fA-F]{64}")
_COUNT = re.compile(rb"[0-9]{1,4}")


def _find(node: Node, text: bytes) -> Share | tuple[int, bytes]:
    """The share of this hash, else the error that says why not."""
    if not _HASH.fullmatch(text):
        return error(NOT_FOUND, "not_a_hash", "a share hash has 64 hex digits")
    share = node.tracker.get(int(text, 16))
    return error(NOT_FOUND, "unknown_share", "no share of this hash is held") if share is None else share


class _OneShare(GetResource):
    """/web/<something>/<hash>: what `tell` makes of a share that is held."""

    def __init__(self, node: Node, tell: Callable[[Share], bytes], content_type: bytes = JSON_TYPE) -> None:
        super().__init__()
        self._node = node
        self._tell = tell
        self.content_type = content_type

    def answer(self, request: Request) -> tuple[int, bytes]:
        found = _find(self._node, b"/".join(request.postpath or []))
        return (200, self._tell(found)) if isinstance(found, Share) else found


class _Value(GetResource):
    """A JSON value of this moment."""

    def __init__(self, tell: Callable[[], object]) -> None:
        super().__init__()
        self._tell = tell

    def answer(self, request: Request) -> tuple[int, bytes]:
        return 200, orjson.dumps(self._tell())


class _Chain(GetResource):
    """/web/chain?from=<hash>&count=<1..200>: shares from one down, from the best one where none is named."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def answer(self, request: Request) -> tuple[int, bytes]:
        asked = request.args or {}
        start, counts = asked.get(b"from"), asked.get(b"count", [b"%d" % chain.DEFAULT_SHARES])
        count = int(counts[0]) if len(counts) == 1 and _COUNT.fullmatch(counts[0]) else 0
        if not 1 <= count <= chain.MAX_SHARES:
            return error(BAD_REQUEST, "bad_count", f"count is a number from 1 to {chain.MAX_SHARES}")
        share = None
        if start is not None:
            # Two of them are no hash either.
            found = _find(self._node, b"&".join(start))
            if not isinstance(found, Share):
                return found
            share = found
        return 200, orjson.dumps(chain.chain_page(self._node, share, count))


def inspection(sources: Sources) -> dict[bytes, GetResource]:
    """All resources below /web, by name."""
    node = sources.node
    tracker, rebuilds = node.tracker, Rebuilds(node.tracker)
    return {
        b"heads": _Value(lambda: chain.heads(tracker.forest)),
        b"verified_heads": _Value(lambda: chain.heads(tracker.verified)),
        b"tails": _Value(lambda: chain.tails(tracker.forest)),
        b"verified_tails": _Value(lambda: chain.tails(tracker.verified)),
        b"best_share_hash": _Value(lambda: chain.best_share_hash(node)),
        b"my_share_hashes": _Value(lambda: [chain.hash_text(h) for h in node.own_share_hashes()]),
        b"chain": _Chain(node),
        # Python's own JSON: targets are numbers beyond 64 bits.
        b"share": _OneShare(node, lambda share: json.dumps(share_details(node, share.hash, rebuilds)).encode()),
        b"share_data": _OneShare(node, lambda share: share.envelope, b"application/octet-stream"),
        b"payout_address": _OneShare(node, lambda share: orjson.dumps(script_to_text(node, share.script))),
    }
