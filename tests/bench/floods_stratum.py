"""Floods of miners' connections."""

from __future__ import annotations

import json
import re
import time
from hashlib import sha256

from p2pool.dash.address import encode_address
from p2pool.networks import SIMNET
from tests.bench.floods_client import Client, batches, connected, serve
from tests.bench.stratum_load import DIFFICULTY

LOGINS, NAMES, AT_ONCE = 100, 100, 50
"""Connections that log in, the worker names of each, and how many connections there are at a time."""
BAD_LOGINS = 500
CROWD = 1800
"""Connections that are logged in at the same time: the node takes 2,000 that have not said anything yet."""
CHANGING, CHANGES = 200, 100
"""Connections that change their difficulty, and how often each does."""
SUBMITTING, SUBMISSIONS = 40, 200
"""Connections that submit, and how much of each kind of submission each sends."""
GARBAGE = 300
"""Connections that send what is no request."""
SILENT, SLOW = 1500, 60
"""Connections that say nothing or half a line, and those that do not read."""
HOLD = 2.0
"""Seconds for which these are held open."""
_EXTREME = f"+{DIFFICULTY}/1000000"
"""Every hash is a pseudoshare, hardly one is a share of the chain."""
_JOB = re.compile(rb'"mining.notify","params":\["([^"]+)".*?"([0-9a-f]{8})",(?:true|false)\]')


def address(*parts: object) -> str:
    """Return a valid payout address that depends on all the parts."""
    digest = sha256(repr(parts).encode()).digest()
    return encode_address(SIMNET.parent.addresses.pubkey_hash, digest[:20])


def line(number: int, method: str, *params: object) -> bytes:
    """Return a request."""
    return json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"


def proxy_header(*parts: object) -> bytes:
    """Return a PROXY header that claims an IPv6 address of a network of its own."""
    digest = sha256(repr(parts).encode()).hexdigest()
    host = ":".join(["2001", *(digest[at : at + 4] for at in range(0, 28, 4))])
    return f"PROXY TCP6 {host} ::1 40000 3333\r\n".encode()


def _answers(client: Client) -> int:
    return client.data.count(b'"result"')


def logins(port: int, round_number: int) -> int:
    """Each connection has an address of its own, logs in under many names and leaves; none was seen before."""
    done = 0
    for batch in batches(LOGINS, AT_ONCE):
        with connected(port, len(batch), proxy=True) as clients:
            for number, client in zip(batch, clients, strict=True):
                client.send(proxy_header("login", round_number, number))
                client.send(line(0, "mining.subscribe", f"flood/{round_number}.{number}", None))
                for name in range(NAMES):
                    user = f"{address(round_number, number)}.r{round_number}n{number}w{name}"
                    client.send(line(1 + name, "mining.authorize", user, "x"))
            serve(clients, lambda client: _answers(client) > NAMES)
            done += sum(_answers(client) for client in clients)
    for batch in batches(BAD_LOGINS, AT_ONCE):
        with connected(port, len(batch), proxy=True) as clients:
            for number, client in zip(batch, clients, strict=True):
                client.send(proxy_header("bad login", round_number, number))
                client.send(line(0, "mining.subscribe", None, None))
                client.send(line(1, "mining.authorize", f"nobody{round_number}.{number}", "x"))
            serve(clients, lambda client: _answers(client) > 1)
            done += sum(_answers(client) for client in clients)
    return done


def _logged_in(clients: list[Client], name: str) -> None:
    for number, client in enumerate(clients):
        user = f"{address('steady', number % 20)}.{name}{number}{_EXTREME}"
        client.send(line(0, "mining.subscribe", "flood", None) + line(1, "mining.authorize", user, "x"))
    serve(clients, lambda client: _answers(client) > 1 and _JOB.search(client.data) is not None)


def crowd(port: int, round_number: int) -> int:
    """As many miners at once as a farm has, who have work and leave."""
    with connected(port, CROWD) as clients:
        _logged_in(clients, "c")
        return sum(_answers(client) for client in clients)


def difficulty_changes(port: int, round_number: int) -> int:
    """Connections that ask for another difficulty again and again."""
    with connected(port, CHANGING) as clients:
        _logged_in(clients, "d")
        for change in range(CHANGES):
            wanted = DIFFICULTY * 2 ** (change % 12 + round_number)
            for client in clients:
                client.send(line(2 + change, "mining.suggest_difficulty", wanted))
            serve(clients, lambda client, sent=change: _answers(client) > 2 + sent, 10.0)
        return sum(_answers(client) for client in clients)


def submissions(port: int, round_number: int) -> int:
    """Pseudoshares: new ones, each of them again, and some for jobs that do not exist."""
    with connected(port, SUBMITTING) as clients:
        _logged_in(clients, "s")
        for number, client in enumerate(clients):
            found = _JOB.findall(client.data)
            if not found:
                continue
            job, ntime = (part.decode() for part in found[-1])
            user = f"{address('steady', number % 20)}.s{number}{_EXTREME}"
            for at in range(SUBMISSIONS):
                nonce = f"{at + SUBMISSIONS * round_number:08x}"
                good = line(2, "mining.submit", user, job, "00000000", ntime, nonce)
                bad = line(2, "mining.submit", user, f"{at:x}", "00000000", ntime, nonce)
                client.send(good + good + bad)
        serve(clients, lambda client: _answers(client) >= 2 + 3 * SUBMISSIONS)
        return sum(_answers(client) for client in clients)


_NONSENSE = (
    b'{"id": 1, "method": \n',
    b'{"id": 1, "method": "mining.nonsense", "params": []}\n',
    b'{"id": {"a": [1]}, "method": 5, "params": {}}\n',
    b'{"id": 1, "method": "mining.authorize", "params": ["\\u0000\\ud800", 7]}\n',
    b'{"id": 1, "method": "mining.submit", "params": ["a", "b", "c", "d", "e", "f", "g"]}\n',
    b"{" + b'"a":' * 500 + b"\n",
    b"{" + b"[" * 4000 + b"\n",
    b"{\xff\xfe\x00\n",
)


def malformed_lines(port: int, round_number: int) -> int:
    """Lines that are no requests, each connection ending with one that is far too long."""
    done = 0
    for batch in batches(GARBAGE, AT_ONCE):
        with connected(port, len(batch), proxy=True) as clients:
            for number, client in zip(batch, clients, strict=True):
                client.send(proxy_header("garbage", round_number, number))
                for at in range(20):
                    client.send(_NONSENSE[(number + at) % len(_NONSENSE)])
                client.send(b"{" + b"x" * 300_000)
            serve(clients, lambda client: False, 10.0)
            done += 21 * len(clients)
    return done


def half_open(port: int, round_number: int) -> int:
    """Connections that say nothing, half a line or half a PROXY header, and slow readers that ask for much."""
    with connected(port, SILENT) as silent, connected(port, SLOW, receive_buffer=4096) as slow:
        for number, client in enumerate(silent):
            if number % 3:
                client.send(b'{"id": 1, "method": "mining.subscribe"' + b" " * (number % 3 - 1) * 8000)
        _logged_in(slow, "slow")
        request = line(9, "mining.suggest_difficulty", 1e-9) + line(9, "mining.suggest_difficulty", 1e-8)
        for _ in range(40):
            for client in slow:
                client.send(request * 10)
            time.sleep(HOLD / 40)
        return len(silent) + len(slow)
