"""All state files of the node that have versions, for the check of these before the start. Called by `app`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from p2pool.alerts.last_run import LAST_RUN_FILE
from p2pool.alerts.miners.file import MINERS_FILE
from p2pool.alerts.outbox_file import OUTBOX_FILE
from p2pool.base.database_format import DatabaseFormat
from p2pool.base.known_databases import DATABASES_FILE
from p2pool.base.state_file import StateFormat
from p2pool.dashd.block_store import BLOCKS_FILE
from p2pool.dashd.broadcaster import NETWORK_PEERS_FILE
from p2pool.dashd.payout_service import DYNAMIC_FILE
from p2pool.peers.service import PEERS_FILE
from p2pool.sharechain.store import SHARES_FILE
from p2pool.stratum.ban_file import BANS_FILE

STATE_FILES: Final[tuple[StateFormat, ...]] = (
    *(PEERS_FILE, BANS_FILE, NETWORK_PEERS_FILE, BLOCKS_FILE, DYNAMIC_FILE, LAST_RUN_FILE, DATABASES_FILE),
    MINERS_FILE,
)
"""Files in JSON."""
DATABASES: Final[tuple[DatabaseFormat, ...]] = (SHARES_FILE, OUTBOX_FILE)
"""SQLite files. (Mining goes on without history, whose database `history` checks.)"""


def check_state_files(directory: Path) -> None:
    """Raise OperatorError if a newer version of the program wrote one of the files in `directory`. Nothing is
    changed."""
    formats: tuple[StateFormat | DatabaseFormat, ...] = (*STATE_FILES, *DATABASES)
    for each in formats:
        each.check(directory)
