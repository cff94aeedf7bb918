"""The list of deliberate defects: each is what a hurried engineer might have written.

A new one is an entry in DEFECTS. Its edits must leave a program that runs, or it proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.simulation.mutations.editing import Edit


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A deliberate defect. `why` is what the engineer thought; `world` is where it is looked for, and
    `caught_by` are the invariants that have to see it: another one would be an accident."""

    name: str
    why: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    world: str = "small"


PAYOUTS: Final = (
    Defect(
        name="payout off by one duff",
        why="Rounds the finder's part up: the finder should not lose a fraction.",
        edits=(
            Edit(
                "p2pool.share.payouts",
                "self.finder_bonus = self.payout // _FINDER_PART",
                "self.finder_bonus = -(-self.payout // _FINDER_PART)",
            ),
        ),
        caught_by=("EverybodyIsPaid",),
    ),
    Defect(
        name="window one share too early",
        why="Begins the PPLNS window at the parent, which reads better than the parent's parent.",
        edits=(Edit("p2pool.share.rules", "weights_start=previous.previous_hash", "weights_start=previous_hash"),),
        caught_by=("EverybodyIsPaid",),
    ),
    Defect(
        name="window keeps a losing fork",
        why="Moves the sliding window to another share without taking off the fork that it comes from.",
        edits=(Edit("p2pool.sharechain.weights", "while nodes and node is not nodes[0]:", "while not nodes:"),),
        caught_by=("EverybodyIsPaid", "HonestSharesAreValid", "AllAgree", "SharesSpread"),
    ),
    Defect(
        name="payee of another miner",
        why="Shares one job between all miners with the same difficulty, to save memory.",
        edits=(
            Edit("p2pool.stratum.job_registry", "key = (request, variant)", 'key = ((b"", request[1]), variant)'),
        ),
        caught_by=("FindersOwnTheirShares",),
    ),
    Defect(
        name="timestamp not clipped",
        why="Takes the clock for a share's timestamp: what else should it be?",
        edits=(
            Edit(
                "p2pool.jobs.job",
                "context.parent.timestamp_for(self.share_timestamp, context.network)",
                "self.share_timestamp",
            ),
        ),
        caught_by=("HonestSharesAreValid",),
    ),
)

STORAGE: Final = (
    Defect(
        name="store not synced",
        why="Sets synchronous=OFF: commits are much faster.",
        edits=(Edit("p2pool.sharechain.store", "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"),),
        caught_by=("StoredSharesSurvive",),
    ),
    Defect(
        name="write error swallowed",
        why="Logs that the store cannot be written, and goes on: the next write will have it.",
        edits=(
            Edit(
                "p2pool.sharechain.store",
                "except sqlite3.Error as error:\n                self._put_back(batch)\n",
                "except sqlite3.Error as error:\n",
            ),
        ),
        caught_by=("StoredSharesSurvive",),
        world="failing_disks",
    ),
    Defect(
        name="block announced before it is stored",
        why="Announces the share of a block at once: every millisecond counts.",
        edits=(Edit("p2pool.node.peers_adapter", "        if own and share.is_block:\n", "        if False:\n"),),
        caught_by=("AnnouncedBlocksSurvive",),
        world="failing_disks",
    ),
    Defect(
        name="block file not synced",
        why="Renames the file of a found block without fsync: the rename is atomic.",
        edits=(
            Edit(
                "p2pool.base.files",
                "            os.fsync(self._file.fileno())\n",
                "",
            ),
        ),
        caught_by=("BlocksArrive",),
        world="alone",
    ),
)

BLOCKS: Final = (
    Defect(
        name="block not sent again",
        why="Leaves blocks of an earlier run alone: they were sent when they were found.",
        edits=(Edit("p2pool.app.dashd", "        await self.submitter.resume()\n", ""),),
        caught_by=("BlocksArrive",),
        world="alone",
    ),
    Defect(
        name="silence taken for a refusal",
        why="Gives a block up if dashd cannot be reached: it has not taken it.",
        edits=(
            Edit(
                "p2pool.dashd.submission",
                "except RpcUnavailable as error:\n            return Verdict.UNANSWERED",
                "except RpcUnavailable as error:\n            return Verdict.REFUSED",
            ),
        ),
        caught_by=("BlocksArrive",),
        world="alone",
    ),
)

PEERS: Final = (
    Defect(
        name="ban for a known share",
        why="Bans peers that send shares that are held already: they waste time.",
        edits=(
            Edit(
                "p2pool.peers.hub",
                "        if self._pool.add_shares(shares, session.label):\n",
                "        if not self._pool.add_shares(shares, session.label):\n"
                '            raise Misbehaviour("it sent known shares")\n'
                "        else:\n",
            ),
        ),
        caught_by=("NobodyHonestIsBanned",),
    ),
    Defect(
        name="ban for silence",
        why="Treats a peer that is silent as one that misbehaves.",
        edits=(
            Edit(
                "p2pool.peers.session",
                'raise Drop("it did not answer a request within 15 s")',
                'raise Misbehaviour("it did not answer a request within 15 s")',
            ),
            Edit(
                "p2pool.peers.session",
                'raise Drop("nothing received for 100 s")',
                'raise Misbehaviour("nothing received for 100 s")',
            ),
        ),
        caught_by=("NobodyHonestIsBanned",),
    ),
    Defect(
        name="lost broadcast",
        why="Passes on only shares of this node: the others have sent theirs to everybody.",
        edits=(
            Edit(
                "p2pool.peers.broadcast",
                "            if share.hash in self._sent:\n",
                "            if share.hash in self._sent or self._sender_of(share.hash) is not None:\n",
            ),
        ),
        caught_by=("SharesSpread",),
        world="sparse",
    ),
    Defect(
        name="no second attempt to connect",
        why="Never dials a host again that could not be reached.",
        edits=(Edit("p2pool.peers.dialling", "REST_AFTER_FAILURE = 60.0", "REST_AFTER_FAILURE = 1e9"),),
        caught_by=("AllAgree", "SharesSpread"),
        world="sparse",
    ),
    Defect(
        name="patience without end",
        why="Waits for an answer until the connection ends: a peer that is asked will answer.",
        edits=(
            Edit("p2pool.peers.patience", "return not self._done and (", "return False and ("),
            Edit("p2pool.peers.download", "                peer.incoming,\n", ""),
            Edit("p2pool.peers.download", "beside_incoming and turn.peer.incoming", "False"),
        ),
        caught_by=("NewcomersCatchUp",),
        world="starved",
    ),
    Defect(
        name="drips wait for the end",
        why="Gives an answer that is coming all the time that it needs: some lines are slow.",
        edits=(
            Edit(
                "p2pool.peers.patience",
                "            or self.received * max(1, answering) < MIN_RATE * (elapsed - STALL)\n"
                "            or elapsed > LONGEST\n",
                "",
            ),
            Edit("p2pool.peers.share_requests", "SLOWEST = 4000", "SLOWEST = 0"),
            Edit("p2pool.peers.download", "                peer.incoming,\n", ""),
            Edit("p2pool.peers.download", "SOON = 1.0\n", "SOON = 1e9\n"),
        ),
        caught_by=("NewcomersCatchUp",),
        world="dripping",
    ),
    Defect(
        name="full is full",
        why="Rejects incoming connections while all are taken: those that are there came first.",
        edits=(
            Edit(
                "p2pool.peers.hub",
                " or self._to_evict() is not None\n",
                "\n",
            ),
        ),
        caught_by=("AllAgree", "SharesSpread"),
        world="hogged",
    ),
    Defect(
        name="any peers are good enough",
        why="Looks for no other nodes while all connections are made.",
        edits=(
            Edit(
                "p2pool.peers.dialling",
                "        return any(map(self._hub.is_trusted, self._hub.peers))\n",
                "        return len(self._hub.peers) >= FEW_PEERS\n",
            ),
        ),
        caught_by=("NobodyIsEclipsed", "AllAgree", "SharesSpread"),
        world="eclipse",
    ),
    Defect(
        name="peers that bring nothing may stay",
        why="Makes new connections only for those that are lost.",
        edits=(
            Edit(
                "p2pool.peers.dialling",
                "        return self._hub.monotonic() - self._fed_at > patience\n",
                "        return False\n",
            ),
        ),
        caught_by=("NewcomersCatchUp",),
        world="sybils",
    ),
    Defect(
        name="without peers, without work",
        why="Takes the work away as soon as there is no peer: shares could not be sent.",
        edits=(
            Edit(
                "p2pool.app.peers",
                "        return not self.hub.peers and not self._patience.left\n",
                "        return not self.hub.peers\n",
            ),
        ),
        caught_by=("SharesWithoutPeersCount",),
        world="alone_again",
    ),
    Defect(
        name="empty answer is final",
        why="Never asks again for a share that a peer did not have.",
        edits=(Edit("p2pool.peers.download", "REST = 1.0\n", "REST = 1e9\n"),),
        caught_by=("AllAgree", "SharesSpread"),
        world="selfish",
    ),
)

NODE: Final = (
    Defect(
        name="tie goes to the last seen",
        why="Prefers the newest of equal heads.",
        edits=(
            Edit(
                "p2pool.sharechain.tracker",
                "not_time_seen=-self.arrival(head).time_seen",
                "not_time_seen=self.arrival(head).time_seen",
            ),
        ),
        caught_by=("TheBestShareIsRight",),
        world="short_chain",
    ),
    Defect(
        name="unbounded table",
        why="Remembers for ever which shares were sent: a hash is small.",
        edits=(Edit("p2pool.node.peers_adapter", "        self._hub.broadcaster.forget(gone)\n", ""),),
        caught_by=("TablesStayBounded",),
        world="short_chain",
    ),
    Defect(
        name="clock taken from the system",
        why="Reads time.time() where a clock was passed in.",
        edits=(
            Edit(
                "p2pool.node.node",
                "        added = 0\n        now = self._clock()\n",
                "        import time\n\n        added = 0\n        now = time.time()\n",
            ),
        ),
        caught_by=("NoInternalErrors",),
    ),
    Defect(
        name="stale work",
        why="Spares miners a new job while theirs is still valid.",
        edits=(
            Edit(
                "p2pool.stratum.job_feed",
                "if former is not None and registry.is_newest(former.issued):",
                "if former is not None and former.issued.job is not None:",
            ),
        ),
        caught_by=("MinersHaveCurrentWork", "NobodyHonestIsBanned"),
    ),
)

RULES: Final = (
    Defect(
        name="coinbase of others not compared",
        why="Spares the rebuilding of a coinbase that its finder has paid by already.",
        edits=(Edit("p2pool.share.check", "if sha256d(gentx) != share.gentx_hash:", "if False:"),),
        caught_by=("NobodyBuildsOnForgedShares",),
        world="cheats",
    ),
    Defect(
        name="timestamp of others not compared",
        why="Takes the timestamp of a share as it is: clocks differ.",
        edits=(Edit("p2pool.share.check", "if share.timestamp != expected_timestamp:", "if False:"),),
        caught_by=("NobodyBuildsOnForgedShares",),
        world="cheats",
    ),
)

GATEWAYS: Final = (
    Defect(
        name="spool not sent again",
        why="Leaves the solutions of an earlier run alone: they were sent when they were found.",
        edits=(
            Edit(
                "p2pool.gateway.solution_sender",
                "for file in await self.disk.load(MAX_UNTAKEN):",
                "for file in ():",
            ),
        ),
        caught_by=("SolutionsArrive",),
        world="lost_brokers",
    ),
    Defect(
        name="solution only in memory",
        why="Spares the disk: the broker has each solution within milliseconds.",
        edits=(
            Edit(
                "p2pool.gateway.solution_sender",
                "        self.disk.keep(message.hash, data, is_block=message.block is not None)\n",
                "",
            ),
        ),
        caught_by=("SolutionsArrive",),
        world="lost_brokers",
    ),
    Defect(
        name="solution acknowledged before it is stored",
        why="Leaves writing the shares to the store's timer: it comes in a second.",
        edits=(Edit("p2pool.gateway.solution_intake", "                await self._store()\n", ""),),
        caught_by=("AcknowledgedSharesSurvive",),
        world="hasty_node",
    ),
    Defect(
        name="solution acknowledged and stored meanwhile",
        why="Acknowledges first, then stores: the gateway need not wait for a disk.",
        edits=(
            Edit(
                "p2pool.gateway.solution_intake",
                "                await self._store()\n                await self._acknowledge(finished)\n",
                "                await self._acknowledge(finished)\n                await self._store()\n",
            ),
        ),
        caught_by=("AcknowledgedSharesSurvive",),
        world="hasty_node",
    ),
    Defect(
        name="report counted twice",
        why="Counts the last report again when it comes again: it may not have been counted.",
        edits=(Edit("p2pool.gateway.sums_intake", "if report.number > last:", "if report.number >= last:"),),
        caught_by=("SubmissionsAreCountedOnce",),
        world="hasty_node",
    ),
)

FOUND: Final = (
    Defect(
        name="early shares not stored",
        why="Begins to store shares when the store is open.",
        edits=(Edit("p2pool.node.persistence", "                self._store_early_shares(self._store)\n", ""),),
        caught_by=("StoredSharesSurvive",),
        world="late_disks",
    ),
    Defect(
        name="halves stay apart",
        why="Makes no more connections than are wanted.",
        edits=(Edit("p2pool.peers.dialling", "EXPLORE_PERIOD = 300.0", "EXPLORE_PERIOD = 1e9"),),
        caught_by=("AllAgree", "SharesSpread"),
        world="halves",
    ),
    Defect(
        name="parents asked of anybody",
        why="Asks any peer for a missing share: all of them have the same chain.",
        edits=(
            Edit(
                "p2pool.peers.download",
                "                self._lacking.get((share_hash, peer.label), 0.0) > now,\n"
                "                self.deliveries.has_penalty(peer.host_key, now),\n"
                "                peer.label not in senders,\n"
                "                -self.deliveries.rate(peer.host_key),\n"
                "                peer.incoming,\n",
                "                0,\n",
            ),
        ),
        caught_by=("AllAgree", "SharesSpread"),
        world="selfish",
    ),
)
"""Defects that p2pool had until the simulation found them."""

DEFECTS: Final = (*PAYOUTS, *RULES, *STORAGE, *BLOCKS, *PEERS, *NODE, *GATEWAYS, *FOUND)
