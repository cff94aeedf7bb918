"""What two nodes would pay now: from the coinbase of a stratum job that each gives to one and the same address."""

from __future__ import annotations

from collections import Counter

from p2pool.dash.address import decode_address
from p2pool.dash.script import p2pkh_script
from p2pool.dash.transaction import parse_transaction
from tests.e2e.interop_miner import address
from tests.e2e.stratum_client import StratumClient

ASKED = address(1)
"""Whose jobs are compared: it never mines, and would be paid as the finder."""
MINERS = "76a914" + "00" * 16
"""How the scripts of the miner's addresses begin, and of nobody else's."""
OWN_SCRIPT = p2pkh_script(decode_address(ASKED)[1]).hex()


def coinbase_outputs(stratum_port: int) -> dict[str, int]:
    """Script in hex -> duffs. Without the output that names the share: what it says differs, its amount is 0."""
    with StratumClient(stratum_port) as client:
        client.login(ASKED, password="x")
        # c2pool-dash makes the first job of a connection for another address, and a second one at once.
        while OWN_SCRIPT not in (paid := _outputs_of(client)):
            client.read()
    return paid


def _outputs_of(client: StratumClient) -> dict[str, int]:
    job = client.jobs[-1]
    extranonce2 = bytes(client.extranonce2_size)
    packed = job.coinbase_start + client.extranonce1 + extranonce2 + job.coinbase_end
    paid: Counter[str] = Counter()
    for output in parse_transaction(packed).outputs:
        if output.value:
            paid[output.script.hex()] += output.value
    return dict(paid)


def both_coinbases(ours: int, theirs: int) -> tuple[dict[str, int], dict[str, int]]:
    """The outputs of both; while their templates differ (in fees or the height) only those to miners."""
    one, other = coinbase_outputs(ours), coinbase_outputs(theirs)
    if sum(one.values()) == sum(other.values()):
        return one, other
    return _to_miners(one), _to_miners(other)


def _to_miners(paid: dict[str, int]) -> dict[str, int]:
    return {script: amount for script, amount in paid.items() if script.startswith(MINERS)}
