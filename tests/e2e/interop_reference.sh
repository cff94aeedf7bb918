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
THEIR_ADDRESS=yg8gwQSCF3sbagpfE8k2ZnBCkbNX8JpzMb
WORK=""
FAILURES=0
declare -A PIDS=()
declare -A PORTS=()

say() { printf '%s\n' "$*"; }

skip() {
    say "skipped: $*"
    exit 0
}

fail() {
    say "  DIFFERENCE: $*"
    FAILURES=$((FAILURES + 1))
}

check() { "$@" || FAILURES=$((FAILURES + 1)); }

check_tools() {
    [ -n "$REFERENCE" ] || skip "no checkout of the older p2pool-dash was named (P2POOL_REFERENCE)"
    [ -f "$REFERENCE/run_p2pool.py" ] || skip "there is no older p2pool-dash in $REFERENCE"
    command -v "$REFERENCE_PYTHON" >/dev/null || skip "there is no Python that runs it: $REFERENCE_PYTHON"
    "$REFERENCE_PYTHON" -c 'import twisted, dash_hash' || skip "that Python lacks Twisted or dash_hash"
    [ -x "$PYTHON" ] || skip "no virtual environment here: make test first, or set PYTHON"
}

pick_ports() {
    local name
    for name in rpc dash ours_web ours_p2p theirs_web theirs_p2p fresh_web fresh_p2p relay; do
        PORTS[$name]=$("$PYTHON" -c 'from tests.e2e.process import free_port; print(free_port())')
    done
}

# --- processes --------------------------------------------------------------------------------------------------

# run NAME COMMAND...: in the background, output appended to NAME.log
run() {
    local name=$1
    shift
    "$@" >>"$WORK/$name.log" 2>&1 &
    PIDS[$name]=$!
}

# end NAME [SIGNAL]
end() {
    local pid=${PIDS[$1]:-}
    [ -n "$pid" ] || return 0
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "PIDS[$1]"
}

end_all() {
    local name
    for name in "${!PIDS[@]}"; do end "$name" KILL; done
}

finish() {
    local status=$?
    end_all
    [ -n "$WORK" ] || exit "$status"
    if [ "$status" -eq 0 ] && [ -z "${P2POOL_INTEROP_KEEP:-}" ]; then
        rm -rf "$WORK"
    else
        say "logs: $WORK"
    fi
}

start_dash() {
    run dash "$PYTHON" -m p2pool.simnet --network dash_regtest --rpc-port "${PORTS[rpc]}" \
        --p2p-port "${PORTS[dash]}" --rpc-user u --rpc-password p
}

# start_ours NAME WEB_PORT P2P_PORT ARGUMENTS...: our node, data kept below NAME
start_ours() {
    local name=$1 web=$2 p2p=$3
    shift 3
    run "$name" "$PYTHON" run_p2pool.py --net dash_regtest --dashd-address 127.0.0.1 \
        --dashd-rpc-port "${PORTS[rpc]}" --dashd-p2p-port "${PORTS[dash]}" -w "127.0.0.1:$web" \
        --p2pool-port "127.0.0.1:$p2p" -a "$OUR_ADDRESS" --datadir "$WORK/$name" --outgoing-conns 0 "$@" u p
    wait_web "$name" "$web"
}

# start_theirs NAME WEB_PORT P2P_PORT ARGUMENTS...
start_theirs() {
    local name=$1 web=$2 p2p=$3
    shift 3
    run "$name" env -C "$REFERENCE" PYTHONDONTWRITEBYTECODE=1 "$REFERENCE_PYTHON" -u "$WORK/loopback.py" \
        run_p2pool.py --net dash_regtest --dashd-address 127.0.0.1 --dashd-rpc-port "${PORTS[rpc]}" \
        --dashd-p2p-port "${PORTS[dash]}" -w "127.0.0.1:$web" --p2pool-port "$p2p" -a "$THEIR_ADDRESS" \
        --datadir "$WORK/$name" --disable-upnp --disable-advertise --disable-broadcaster --no-bugreport \
        --outgoing-conns 0 "$@" u p
    wait_web "$name" "$web"
}

start_relay() {
    run relay "$PYTHON" -m tests.e2e.interop_watch relay "${PORTS[relay]}" "${PORTS[theirs_p2p]}" \
        --counts "$WORK/relay.counts"
}

# Runs a program whose ports are on the loopback only, whatever it asks for (any Twisted, Python 2 or 3).
write_loopback() {
    cat >"$WORK/loopback.py" <<'PYTHON'
import sys
from twisted.internet import reactor

listen = reactor.listenTCP
reactor.listenTCP = lambda port, factory, backlog=50, interface="": listen(
    port, factory, backlog, interface or "127.0.0.1"
)
sys.argv = sys.argv[1:]
sys.path[0] = "."
with open(sys.argv[0]) as program:
    exec(compile(program.read(), sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})
PYTHON
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
    own_miner their-miner "${PORTS[theirs_web]}" "$THEIR_ADDRESS+0.00001" 20000
}

wait_web() {
    local tries
    for tries in $(seq 120); do
        if curl -fsS -m 5 "http://127.0.0.1:$2/web/best_share_hash" >/dev/null 2>&1; then return 0; fi
        kill -0 "${PIDS[$1]}" 2>/dev/null || break
        sleep 0.5
    done
    say "$1 did not start (try $tries):"
    tail -n 20 "$WORK/$1.log"
    exit 1
}

# --- what is tried ----------------------------------------------------------------------------------------------

compare() { "$PYTHON" -m tests.e2e.interop_watch "$@"; }

watch_to() {
    check compare watch "${PORTS[ours_web]}" "${PORTS[theirs_web]}" --height "$1" --patience 1800
}

# agree OUR_WEB_PORT THEIR_WEB_PORT ARGUMENTS...
agree() { check compare agree "$@" --patience 240; }

agree_on_news() { agree "${PORTS[ours_web]}" "${PORTS[theirs_web]}" --news; }

ours() { start_ours ours "${PORTS[ours_web]}" "${PORTS[ours_p2p]}" "$@"; }
theirs() { start_theirs theirs "${PORTS[theirs_web]}" "${PORTS[theirs_p2p]}" "$@"; }

we_dial() {
    say "we dial them, both mine"
    theirs
    start_relay
    ours -n "127.0.0.1:${PORTS[relay]}"
    start_miners
    watch_to $((SHARES * 40 / 100))
    check compare shares "${PORTS[ours_web]}" "${PORTS[theirs_web]}"
}

# restart ours|theirs SIGNAL ARGUMENTS...
restart() {
    local name=$1 signal=$2
    shift 2
    say "$name ends with SIG$signal and comes back"
    end "$name" "$signal"
    "$name" "$@"
    agree_on_news
}

restart_while_we_dial() {
    restart ours TERM -n "127.0.0.1:${PORTS[relay]}"
    restart ours KILL -n "127.0.0.1:${PORTS[relay]}"
    restart theirs TERM
    restart theirs KILL
    watch_to $((SHARES * 70 / 100))
}

they_dial() {
    say "they dial us"
    end relay
    end ours
    end theirs
    ours
    theirs -n "127.0.0.1:${PORTS[ours_p2p]}"
    agree_on_news
    restart theirs TERM -n "127.0.0.1:${PORTS[ours_p2p]}"
    restart ours KILL
    restart theirs KILL -n "127.0.0.1:${PORTS[ours_p2p]}"
    restart ours TERM
    watch_to "$SHARES"
    check compare shares "${PORTS[ours_web]}" "${PORTS[theirs_web]}"
}

fresh_ours() {
    say "a node of ours without shares gets all of them from theirs"
    start_ours fresh-ours "${PORTS[fresh_web]}" "${PORTS[fresh_p2p]}" -n "127.0.0.1:${PORTS[theirs_p2p]}"
    agree "${PORTS[fresh_web]}" "${PORTS[theirs_web]}"
    end fresh-ours
}

fresh_theirs() {
    say "a node of theirs without shares gets all of them from ours"
    start_theirs fresh-theirs "${PORTS[fresh_web]}" "${PORTS[fresh_p2p]}" -n "127.0.0.1:${PORTS[ours_p2p]}"
    agree "${PORTS[ours_web]}" "${PORTS[fresh_web]}"
    end fresh-theirs
}

# absent WHAT PATTERN FILES...: every line that matches is a failure
absent() {
    local what=$1 pattern=$2 found
    shift 2
    found=$(grep -HnE "$pattern" "$@" | head -n 20 || true)
    if [ -z "$found" ]; then
        say "  no $what"
    else
        fail "$what: $found"
    fi
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
    absent "complaint in ours" ' (warn|error|critical) |Traceback| banned| dropped' ours.log fresh-ours.log
    cd "$ROOT"
}

show_messages() {
    say "messages while we dialled (\"hashes\": transactions named in them):"
    sed 's/^/  /' "$WORK/relay.counts" || fail "no messages were counted"
}

verdict() {
    if [ "$FAILURES" -eq 0 ]; then
        say "VERDICT: the two agree"
    else
        say "VERDICT: $FAILURES differences"
        exit 1
    fi
}

main() {
    check_tools
    cd "$ROOT"
    WORK=$(mktemp -d)
    trap finish EXIT
    trap 'exit 130' INT TERM
    pick_ports
    write_loopback
    start_dash
    sleep 2
    we_dial
    restart_while_we_dial
    they_dial
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
