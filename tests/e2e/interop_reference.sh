#!/usr/bin/env bash
# The existing p2pool-dash (Python 2.7) and this node as peers of one share chain, on a simulated Dash Core.
#
#   tests/e2e/interop_reference.sh [CHECKOUT [PYTHON]]
#
# CHECKOUT (or P2POOL_REFERENCE) is a directory with the older software, PYTHON (or P2POOL_REFERENCE_PYTHON) a
# program that runs it; see docs/interop.md. Without a checkout it says "skipped" and exits 0. Otherwise: 0 where
# both agreed all the time, 1 for a difference. P2POOL_MINER may name an x11 cpuminer: faster than our own one.
# P2POOL_INTEROP_SHARES: how many shares (default 220). P2POOL_INTEROP_KEEP=1 keeps the logs of a good run, too.
set -euo pipefail

REFERENCE=${1:-${P2POOL_REFERENCE:-}}
REFERENCE_PYTHON=${2:-${P2POOL_REFERENCE_PYTHON:-python2.7}}
SHARES=${P2POOL_INTEROP_SHARES:-220}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
OUR_ADDRESS=yiVVrQAf6i7b3q5faSK6hsA9ed1ixQfpMF
LEGACY_ADDRESS=yg8gwQSCF3sbagpfE8k2ZnBCkbNX8JpzMb
THEIR_DIAL=-n
OUR_NODE=(run_p2pool.py --net dash_regtest)
. "$ROOT/tests/e2e/interop_common.sh"

check_tools() {
    [ -n "$REFERENCE" ] || skip "no checkout of the older p2pool-dash was named (P2POOL_REFERENCE)"
    [ -f "$REFERENCE/run_p2pool.py" ] || skip "there is no older p2pool-dash in $REFERENCE"
    command -v "$REFERENCE_PYTHON" >/dev/null || skip "there is no Python that runs it: $REFERENCE_PYTHON"
    "$REFERENCE_PYTHON" -c 'import twisted, dash_hash' || skip "that Python lacks Twisted or dash_hash"
    [ -x "$PYTHON" ] || skip "no virtual environment here: make test first, or set PYTHON"
}

# start_miner NAME WEB_PORT USER HASH_RATE
start_miner() {
    if [ -n "${P2POOL_MINER:-}" ]; then
        run "$1" nice -n 15 "$P2POOL_MINER" --no-color -a x11 -o "stratum+tcp://127.0.0.1:$2" -u "$3" -p x -t 1
    else
        own_miner "$@"
    fi
}

own_miner() {
    run "$1" nice -n 15 "$PYTHON" -m p2pool.simnet.miner -o "stratum+tcp://127.0.0.1:$2" -u "$3" -p d=0.001 \
        --max-hash-rate "$4"
}

# The least difficulty is 0.001 with us (4.3 million hashes); theirs takes what the user name says.
start_miners() {
    start_miner our-miner "${PORTS[ours_web]}" "$OUR_ADDRESS" 1000000
    own_miner their-miner "${PORTS[theirs_web]}" "$LEGACY_ADDRESS+0.00001" 20000
}

# --- what is tried ----------------------------------------------------------------------------------------------

watch_to() {
    check compare watch "${PORTS[ours_web]}" "${PORTS[theirs_web]}" --height "$1" --patience 1800
}

theirs() { start_legacy theirs "${PORTS[theirs_web]}" "${PORTS[theirs_p2p]}" "$@"; }

we_dial() {
    say "we dial them, both mine"
    theirs
    start_relay
    ours -n "127.0.0.1:${PORTS[relay]}"
    start_miners
    watch_to $((SHARES * 40 / 100))
    check compare shares "${PORTS[ours_web]}" "${PORTS[theirs_web]}"
}

fresh_theirs() {
    say "a node of theirs without shares gets all of them from ours"
    start_legacy fresh-theirs "${PORTS[fresh_web]}" "${PORTS[fresh_p2p]}" -n "127.0.0.1:${PORTS[ours_p2p]}"
    agree "${PORTS[ours_web]}" "${PORTS[fresh_web]}"
    end fresh-theirs
}

check_logs() {
    local bad='misbehaving|banned|Peer referenced|Share check failed|WARN: Tried|Handshake timed'
    say "logs"
    cd "$WORK"
    absent "misbehaviour or unknown transaction in theirs" "$bad" theirs.log fresh-theirs.log
    # One that downloads old shares never gets their transactions, from no software: neither a new node, nor one that
    # was killed and asks again for a block that it had got whole.
    awk '/GOT BLOCK FROM PEER/ { whole[$NF] = 1 } /INCOMPLETE BLOCK/ && !whole[$NF]' theirs.log >incomplete.log
    absent "incomplete block in theirs" 'INCOMPLETE BLOCK' incomplete.log
    absent "traceback in theirs" '^(> )?Traceback|Unhandled' theirs.log fresh-theirs.log
    # Two miners may find a block of one height.
    grep -vhE 'another block at its height came first|is orphaned: block' ours.log fresh-ours.log >ours-checked.log
    absent "complaint in ours" ' (warn|error|critical) |Traceback| banned| dropped' ours-checked.log
    cd "$ROOT"
}

main() {
    check_tools
    cd "$ROOT"
    begin
    pick_ports rpc dash ours_web ours_p2p theirs_web theirs_p2p fresh_web fresh_p2p relay
    write_loopback
    start_dash
    sleep 2
    we_dial
    restart_while_we_dial
    they_dial
    check compare shares "${PORTS[ours_web]}" "${PORTS[theirs_web]}"
    fresh_ours
    fresh_theirs
    show_messages
    end ours
    end theirs
    end_all
    check_logs
    verdict
}

main
