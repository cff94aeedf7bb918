"""Floods of other nodes' connections."""

from __future__ import annotations

import time

from p2pool.networks import SIMNET
from p2pool.peers.messages import (
    Addrs,
    Envelope,
    ForgetTx,
    GetAddrs,
    HaveTx,
    Message,
    PeerAddress,
    PeerPing,
    PeerVersion,
    RawTransaction,
    RememberTx,
    SeenAddress,
    ShareReq,
    Shares,
)
from p2pool.wire.framer import frame
from tests.bench.floods_client import Client, connected, serve
from tests.peers.wiring import transaction

PEERS, AGAIN = 15, 4
"""Connections at a time (the node takes 40), and how often they come."""
TRANSACTIONS, SIZE = 2000, 250
"""That each peer has the node remember: half a megabyte."""
ADDRESSES, HASHES = 1000, 10_000
PATIENCE = 2.0
"""Seconds in which the node closes those that misbehave; the others leave then."""


def _send(client: Client, *messages: Message) -> None:
    client.send(b"".join(frame(SIMNET.prefix, message.command, message.pack()) for message in messages))


def _transactions(first: int) -> tuple[RawTransaction, ...]:
    return tuple(transaction(number, SIZE) for number in range(first, first + TRANSACTIONS))


def _addresses(start: int) -> tuple[SeenAddress, ...]:
    now = int(time.time())
    hosts = (f"20.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}" for at in range(start, start + ADDRESSES))
    return tuple(SeenAddress(now, PeerAddress(host, 8999)) for host in hosts)


def _talk(client: Client, identity: int) -> None:
    """What one peer says before it misbehaves."""
    here = PeerAddress("127.0.0.1", 8999)
    _send(client, PeerVersion(1700, 0, here, here, identity + 1, b"flood", 1, identity * 7919 + 1))
    _send(client, Addrs(_addresses(identity * ADDRESSES)), GetAddrs(1000), PeerPing())
    unknown = tuple(range(identity * HASHES + 1, (identity + 1) * HASHES))
    _send(client, HaveTx(unknown), ShareReq(identity, unknown[:500], 1000, ()))
    known = _transactions(identity * TRANSACTIONS)
    _send(client, RememberTx((), known), ForgetTx(tuple(each.hash for each in known[::2])))


def _misbehave(client: Client, kind: int) -> None:
    """What ends the connection, or does not: some only leave."""
    if kind == 0:
        _send(client, Shares((Envelope(16, b"\x00" * 50_000),)))
    elif kind == 1:
        client.send(frame(SIMNET.prefix, "ping", b"")[:-1] + b"\x00" + b"x" * 100_000)
    elif kind == 2:
        client.send(frame(SIMNET.prefix, "shares", b"\xfe" * 1_000_000))
    elif kind == 3:
        client.send(frame(SIMNET.prefix, "remember_tx", b"\x00" * 3_000_000)[:2_000_000])


def peers(port: int, round_number: int) -> int:
    """Peers that introduce themselves, send addresses and transactions, and then garbage."""
    done = 0
    for again in range(AGAIN):
        with connected(port, PEERS) as clients:
            for number, client in enumerate(clients):
                _talk(client, (round_number * AGAIN + again) * PEERS + number)
            serve(clients, lambda client: not client.waits_to_send and client.received > 300, 20.0)
            done += sum(client.received > 0 for client in clients) * (TRANSACTIONS + ADDRESSES + HASHES)
            for number, client in enumerate(clients):
                _misbehave(client, number % 5)
            serve(clients, lambda client: False, PATIENCE)
    return done
