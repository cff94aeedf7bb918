"""Makes the data directory of a version, of the program as it is now: `python -m tests.data_directories VERSION`.

A node on simnet mines a few shares and blocks. What such a short run leaves empty is written as the node writes
it, by the classes that do that, so that each kind of file is there.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from p2pool.alerts.channel import OutboxEntry
from p2pool.alerts.miners.destination import MinerDestination
from p2pool.alerts.miners.file import MINERS_FILE
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscriptions import MinerEventKind, Subscription, Subscriptions
from p2pool.alerts.outbox_file import OUTBOX_FILE, OutboxFile
from p2pool.base.state_file import StateFile
from p2pool.dashd.broadcaster import NETWORK_PEERS_FILE
from p2pool.dashd.payout_addresses import own_address, render_cached
from p2pool.dashd.payout_service import CACHED_FILE
from p2pool.gateway.messages import SolutionMessage, pack_message
from p2pool.gateway.solution_spool import SolutionSpool
from p2pool.networks import SIMNET
from p2pool.peers.address_book import NAMED, AddressBook
from p2pool.peers.addresses import Bans
from p2pool.peers.messages import PeerAddress
from p2pool.peers.service import PEERS_FILE
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.store import SHARES_FILE, ShareDatabase, StoredShare
from p2pool.stratum.ban_file import BANS_FILE
from tests.data_directories import NETWORK, Expected, keep
from tests.e2e.process import NodeProcess, wait_for

ARGUMENTS = ["-a", "dynamic", "--simnet-hash-rate", "20000", "--simnet-block-period", "10"]
SHARES, BLOCKS = 8, 2
YEAR = 365 * 86_400
BANNED = "192.0.2.7"


def mine(directory: Path) -> Expected:
    """Let a node fill its data directory."""
    with NodeProcess(directory, *ARGUMENTS, "--simnet-miners", "1", hash_rate=None) as node:

        def is_enough() -> bool:
            stats = node.try_get("global_stats") or {}
            return stats.get("shares_held", 0) >= SHARES and len(node.get("recent_blocks")) >= BLOCKS

        wait_for("shares and blocks", is_enough)
        addresses = node.get("payout_addrs")
        node.interrupt()
    data = directory / "data" / NETWORK
    shares = read_shares(data)
    found = sorted(path.name.removesuffix(".pending").split("-") for path in data.glob("blocks/*.pending"))
    return Expected(
        time=max(each.time_seen for each in shares),
        arguments=ARGUMENTS,
        best_share=f"{max(shares, key=lambda each: each.share.absheight).share.hash:064x}",
        shares=len(shares),
        blocks=[name for _, name in found],
        payout_addresses=addresses,
        node_name=(data / "node-name").read_text("ascii").strip(),
    )


def read_shares(data: Path) -> list[StoredShare]:
    """All shares of a store."""
    database = ShareDatabase(data / SHARES_FILE.name)
    shares = [each for each in database.read(SIMNET) if isinstance(each, StoredShare)]
    database.close()
    return shares


def add_samples(data: Path, what: Expected) -> None:
    """Write the files that the run left empty or did not make."""
    now = what.time
    addresses, bans = AddressBook(random.Random(1)), Bans()
    addresses.add(PeerAddress("127.0.0.2", 19_789), now, now=now, source=NAMED)
    bans.ban(BANNED, now)
    kept = {"addresses": addresses.to_json(), "address_key": addresses.key.hex(), "bans": bans.to_json()}
    StateFile(data / PEERS_FILE.name, PEERS_FILE).write(kept)
    ban = [BANNED, now, now + YEAR, "too many wrong submissions", "gateway-1"]
    StateFile(data / BANS_FILE.name, BANS_FILE).write({"bans": [ban]})
    peer = {"host": "127.0.0.3", "port": 19_999, "score": 2.0, "worked": True}
    StateFile(data / NETWORK_PEERS_FILE.name, NETWORK_PEERS_FILE).write({"peers": [peer]})
    StateFile(data / CACHED_FILE.name, CACHED_FILE).write_bytes(
        render_cached(own_address(what.payout_addresses[0], SIMNET))
    )
    add_alerts_of_miners(data, what)
    OutboxFile(data / OUTBOX_FILE.name).save(
        {"1": OutboxEntry("1", "operator", {"subject": "a", "body": "b"}, now, 2, now + 60)}, {"sent": {}}
    )
    first, second = read_shares(data)[:2]
    packed = [(each.share.version.type, each.share.contents) for each in (first, second)]
    ShareArchive(data / "share-archive").write(first.share.absheight, packed)
    digest = second.share.hash.to_bytes(32, "little")
    solution = SolutionMessage(
        network=NETWORK, gateway="g", worker="w", found=now, hash=digest, share=None, block=None, aux=[]
    )
    SolutionSpool(data / "solutions").keep(digest, pack_message(solution))


def add_alerts_of_miners(data: Path, what: Expected) -> None:
    """Write the file of the alerts that miners have set: a confirmed one."""
    table, destination = Subscriptions(), MinerDestination(MinerChannel.NTFY, "https://ntfy.sh/a", "ntfy.sh")
    alert = Subscription(
        id="0123456789abcdef",
        address=what.payout_addresses[0],
        destination=destination,
        events=frozenset(MinerEventKind),
        client="c" * 16,
        created=what.time,
        confirmed=what.time,
        seen=what.time,
    )
    table.add(alert)
    document = {"key": "5a" * 32, "subscriptions": table.to_json(), "blocks": [], "waiting": []}
    StateFile(data / MINERS_FILE.name, MINERS_FILE).write(document)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        made = mine(Path(temporary))
        add_samples(Path(temporary) / "data" / NETWORK, made)
        keep(sys.argv[1], Path(temporary) / "data" / NETWORK, made)
