"""How c2pool-dash rebuilds the coinbase of a received share of type 16, written down from what its sources do.

It differs from the share-chain format in two places. Every packed payment counts as an output and is subtracted,
also one that makes no output; and what the window or the finder's part gives to the donation script is left out.
A share whose coinbase is another one is refused.
"""

from __future__ import annotations

from p2pool.dash.address import AddressVersions
from p2pool.networks import Network
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import Reader
from tests.share.builder import DONATION, chain_below, double_sha, window_of

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def payee_script(payee: str, versions: AddressVersions) -> bytes:
    """The script of a payee as c2pool-dash understands it; empty if it understands none."""
    if payee.startswith("!"):
        return bytes.fromhex(payee[1:])
    number = 0
    for letter in payee:
        if letter not in ALPHABET:
            return b""
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(payee) - len(payee.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != 25 or double_sha(data[:21])[:4] != data[21:]:
        return b""
    if data[0] == versions.pubkey_hash:
        return b"\x76\xa9\x14" + data[1:21] + b"\x88\xac"
    return b"\xa9\x14" + data[1:21] + b"\x87" if data[0] == versions.script_hash else b""


def rebuilt_outputs(share: Share, tracker: Tracker) -> tuple[int, list[tuple[bytes, int]]]:
    """(declared number of outputs, the outputs but the last one)."""
    network: Network = tracker.network
    payout = max(0, share.subsidy - sum(amount for _, amount in share.payments))
    weights, total = window_of(chain_below(tracker, share.previous_hash), share.block_bits, network)
    amounts = {script: payout * (49 * weight) // (50 * total) for script, weight in weights.items()}
    amounts[share.script] = amounts.get(share.script, 0) + payout // 50
    donation = max(0, payout - sum(amounts.values()))
    workers = sorted((script, amount) for script, amount in amounts.items() if amount and script != DONATION)
    payments = [(payee_script(payee, network.parent.addresses), amount) for payee, amount in share.payments]
    written = [(script, amount) for script, amount in payments if script and amount]
    return len(workers) + len(share.payments) + 2, [*workers, *written, (DONATION, donation)]


def coinbase_outputs(gentx: bytes) -> tuple[int, list[tuple[bytes, int]]]:
    """The same of a generation transaction."""
    reader = Reader(gentx, 4 + 1 + 36)
    reader.varstr()
    reader.take(4)
    count = reader.varint()
    outputs = []
    for _ in range(count - 1):
        amount = reader.uint64()
        outputs.append((reader.varstr(), amount))
    return count, outputs


def accepts(share: Share, gentx: bytes, tracker: Tracker) -> bool:
    """Whether c2pool-dash rebuilds this coinbase."""
    return rebuilt_outputs(share, tracker) == coinbase_outputs(gentx)
