"""Turns samples into rows: what has grown since the previous sample, by worker and by address.

Called in the thread that writes, one batch after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.history import schema
from p2pool.history.database import HistoryDatabase, insert_new, insert_or_update
from p2pool.history.records import (
    COUNTS,
    DAY,
    PERIOD,
    POOL_FIGURES,
    REASONS,
    REFUSED,
    HistorySample,
    RoundFigures,
    SeriesKind,
)
from p2pool.pool_stats import BlockRecord, EventKind, EventRecord, WorkerSnapshot

_Counters = tuple[int, ...]
_Numbers = dict[SeriesKind, dict[str, int]]
_NOTHING: Final[_Counters] = (0,) * len(COUNTS)


class SampleWriter:
    """Writes batches into one database. Bound: it remembers the counters of the workers in the newest sample, and
    as many shares and blocks as samples have."""

    def __init__(self, database: HistoryDatabase, former: SampleWriter | None = None) -> None:
        """Continue the counters of `former`, which wrote to a database that is gone."""
        self._database = database
        self._counters: dict[str, _Counters] = {} if former is None else former._counters
        self._blocks: dict[int, BlockRecord] = {}
        self._rounds: dict[int, RoundFigures] = {}
        self._shares: set[int] = set()
        self._paid: set[int] = set()

    def write(self, samples: Sequence[HistorySample], events: Iterable[EventRecord]) -> None:
        """Write in one transaction. The state changes only if that was committed. Raises HistoryProblem."""
        counters, made = self._counters, _Batch(self._database)
        newest = samples[-1] if samples else None
        with self._database.writing() as connection:
            for sample in samples:
                counters = made.add_sample(connection, sample, counters)
            made.write(connection)
            if newest is not None:
                self._write_new(connection, newest)
            rows = [self._event(event) for event in events if not self._is_written(connection, event)]
            if rows:
                connection.execute(schema.events.insert(), rows)
        self._counters = counters
        for kind, numbers in made.numbers.items():
            self._database.remember(kind, numbers)
        if newest is not None:
            self._shares = {share.share_hash for share in newest.shares}
            self._blocks = {block.block_hash: block for block in newest.blocks}
            self._rounds = {each.block_hash: each for each in newest.rounds}
            self._paid = {block.block_hash for block in newest.blocks if block.block_hash in newest.paid}

    def _write_new(self, connection: Connection, sample: HistorySample) -> None:
        node = self._database.node
        shares = [
            {
                "node": node,
                "time": share.time,
                "hash": hash_hex(share.share_hash),
                "worker": schema.storable(share.worker),
                "dead": share.dead,
                "attempts": float(share.attempts),
            }
            for share in sample.shares
            if share.share_hash not in self._shares
        ]
        if shares:
            connection.execute(insert_new(connection, schema.shares), shares)
        blocks = [
            _block_row(node, block) for block in sample.blocks if self._blocks.get(block.block_hash) != block
        ]
        if blocks:
            connection.execute(insert_or_update(connection, schema.blocks), blocks)
        rounds = [_round_row(node, each) for each in sample.rounds if self._rounds.get(each.block_hash) != each]
        if rounds:
            connection.execute(insert_or_update(connection, schema.rounds), rounds)
        self._write_payouts(connection, sample)

    def _write_payouts(self, connection: Connection, sample: HistorySample) -> None:
        node = self._database.node
        coinbases, payouts = [], []
        for block in sample.blocks:
            paid = sample.paid.get(block.block_hash)
            if paid is None or block.block_hash in self._paid:
                continue
            key = {"node": node, "hash": hash_hex(block.block_hash)}
            coinbases.append(key | {"transaction": hash_hex(paid.transaction)})
            day = int(block.time // DAY) * DAY
            payouts += [
                key | {"address": schema.storable(address), "time": block.time, "day": day, "amount": amount}
                for address, amount in paid.amounts.items()
            ]
        if coinbases:
            connection.execute(insert_new(connection, schema.coinbases), coinbases)
        if payouts:
            connection.execute(insert_new(connection, schema.payouts), payouts)

    def _is_written(self, connection: Connection, event: EventRecord) -> bool:
        """Return whether an earlier run, which was killed, wrote that this block was found."""
        if event.kind is not EventKind.BLOCK_FOUND:
            return False
        table = schema.events
        same = (table.c.node == self._database.node) & (table.c.time == event.time)
        same &= (table.c.kind == event.kind.value) & (table.c.subject == schema.storable(event.subject))
        return connection.execute(select(table.c.id).where(same).limit(1)).first() is not None

    def _event(self, event: EventRecord) -> dict[str, object]:
        return {
            "node": self._database.node,
            "time": event.time,
            "kind": event.kind.value,
            "subject": schema.storable(event.subject),
            "text": schema.storable(event.text, schema.MAX_TEXT),
            "details": _json(event.details),
        }


class _Batch:
    """The rows of some samples."""

    def __init__(self, database: HistoryDatabase) -> None:
        self._database = database
        self._pool: list[dict[str, Any]] = []
        self._series: list[dict[str, Any]] = []
        self.numbers: _Numbers = {kind: {} for kind in SeriesKind}

    def add_sample(
        self, connection: Connection, sample: HistorySample, before: dict[str, _Counters]
    ) -> dict[str, _Counters]:
        """Add one sample; return the workers' counters in it."""
        time = int(sample.time // PERIOD) * PERIOD
        known = {name: sample.pool.get(name) for name in POOL_FIGURES}
        self._pool.append({"node": self._database.node, "step": PERIOD, "time": time, "seconds": PERIOD} | known)
        counters: dict[str, _Counters] = {}
        workers: dict[str, dict[str, Any]] = {}
        addresses: dict[str, dict[str, Any]] = {}
        for worker in sample.workers:
            now = counters[worker.name] = _counters(worker)
            grown = _growth(before.get(worker.name, _NOTHING), now)
            if not worker.accepted or not (worker.hash_rate or worker.connections or any(grown)):
                continue  # one that never did any work is not a worker
            workers[worker.name] = {
                "hash_rate": worker.hash_rate,
                "dead_rate": worker.dead_rate,
                "difficulty": worker.difficulty or None,
                "payout": None,
                **dict(zip(COUNTS, grown, strict=True)),
            }
            _add(addresses, worker.name.partition(".")[0], workers[worker.name])
        for address, row in addresses.items():
            row["payout"] = sample.payouts.get(address)
        votes = {
            version: {"hash_rate": rate, "dead_rate": 0.0, "difficulty": None, "payout": None}
            | dict.fromkeys(COUNTS, 0)
            for version, rate in sample.versions.items()
        }
        for kind, rows in (
            (SeriesKind.WORKER, workers),
            (SeriesKind.ADDRESS, addresses),
            (SeriesKind.VERSION, votes),
        ):
            self._add_rows(connection, kind, time=time, rows=rows)
        return counters

    def _add_rows(
        self, connection: Connection, kind: SeriesKind, *, time: int, rows: dict[str, dict[str, Any]]
    ) -> None:
        numbers = self.numbers[kind]
        new = [name for name in rows if name not in numbers]
        numbers.update(self._database.series_numbers(connection, kind, new))
        for name, row in rows.items():
            row |= {"step": PERIOD, "kind": int(kind), "time": time, "series": numbers[name]}
            self._series.append(row)

    def write(self, connection: Connection) -> None:
        """Insert all rows. If the clock stepped back, periods that were sampled before keep their first sample."""
        if self._pool:
            connection.execute(insert_new(connection, schema.pool_samples), self._pool)
        if self._series:
            connection.execute(insert_new(connection, schema.series_samples), self._series)


def _counters(worker: WorkerSnapshot) -> _Counters:
    """Return a worker's counters in the order of COUNTS."""
    refused = dict.fromkeys(REFUSED, 0)
    for code, count in worker.refused_by.items():
        refused[REASONS.get(code, "other_refused")] += count
    return (worker.accepted, *refused.values(), worker.dead, worker.shares)


def _growth(before: _Counters, now: _Counters) -> _Counters:
    """Return what was added since `before`; the counters of a forgotten worker or a restarted node begin at 0."""
    return tuple(new - old if new >= old else new for old, new in zip(before, now, strict=True))


def _add(rows: dict[str, dict[str, Any]], name: str, row: dict[str, Any]) -> None:
    """Add a worker's row to that of its address."""
    whole = rows.get(name)
    if whole is None:
        rows[name] = dict(row, difficulty=None)
        return
    for figure in ("hash_rate", "dead_rate", *COUNTS):
        whole[figure] += row[figure]


def _json(details: Mapping[str, object]) -> str:
    written = json.dumps(dict(details), default=str, ensure_ascii=False)
    return schema.storable(written, len(written))  # NUL is escaped in it


def _block_row(node: int, block: BlockRecord) -> dict[str, Any]:
    return {
        "node": node,
        "hash": hash_hex(block.block_hash),
        "time": block.time,
        "height": block.height,
        "worker": schema.storable(block.worker),
        "share": optional_hash_hex(block.share_hash),
        "value": block.subsidy,
        "status": block.status.value,
        "reason": schema.storable(block.reason, schema.MAX_TEXT),
        "confirmations": block.confirmations,
        "chainlocked": block.chainlocked,
    }


def _round_row(node: int, each: RoundFigures) -> dict[str, Any]:
    return {
        "node": node,
        "hash": hash_hex(each.block_hash),
        "start": hash_hex(each.start),
        "time_to_find": each.time_to_find,
        "difficulty": each.difficulty,
        "expected_work": each.expected_work,
        "actual_work": each.actual_work,
        "method": each.method,
    }
