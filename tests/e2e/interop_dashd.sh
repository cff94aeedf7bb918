#!/usr/bin/env bash
# This node on two real Dash Cores in regtest, with a CPU miner: a hundred blocks, transactions in them, and a daemon
# that freezes and is killed on the way.
#
#   tests/e2e/interop_dashd.sh [DASHD]
#
# DASHD (or P2POOL_DASHD) is a dashd, version 20 or newer, with a wallet; see docs/interop.md. Without one it says
# "skipped" and exits 0. Otherwise: 0 where all blocks came into the chain or were beaten, 1 where one did not.
# P2POOL_MINER may name an x11 cpuminer: faster than our own one. P2POOL_INTEROP_BLOCKS: how many (default 100).
# P2POOL_INTEROP_KEEP=1 keeps the logs of a good run, too.
set -euo pipefail

DASHD=${1:-${P2POOL_DASHD:-}}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}

skip() {
    printf 'skipped: %s\n' "$*"
    exit 0
}

[ -n "$DASHD" ] || skip "no dashd was named (P2POOL_DASHD)"
[ -x "$DASHD" ] || skip "there is no program $DASHD"
[ -x "$PYTHON" ] || skip "no virtual environment here: make test first, or set PYTHON"
DASHD=$(cd "$(dirname "$DASHD")" && pwd)/$(basename "$DASHD")
cd "$ROOT"
exec "$PYTHON" -m tests.e2e.interop_dashd "$DASHD"
