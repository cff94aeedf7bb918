#!/usr/bin/env bash
# c2pool-dash and this node as peers of one share chain.
#
#   tests/e2e/interop_c2pool.sh [PATH]
#
# PATH (or P2POOL_C2POOL) is a c2pool-dash program; see docs/interop.md. Without one it says "skipped" and exits 0.
# Otherwise: 0 if both agreed all the time, 1 for a difference. Optional, each in the environment:
#   P2POOL_MINER              an x11 cpuminer: faster than our own one
#   P2POOL_DASHD              a real dashd, for a block of each in its chain
#   P2POOL_REFERENCE          a checkout of legacy p2pool-dash as the third, P2POOL_REFERENCE_PYTHON what runs it
#   P2POOL_INTEROP_SHARES     how many shares (default 300)
#   P2POOL_INTEROP_SPEED      how fast the nodes' clocks run (default 8; 1: as they are)
#   P2POOL_INTEROP_KEEP=1     keeps the logs of a good run, too
set -euo pipefail

C2POOL=${1:-${P2POOL_C2POOL:-}}
REFERENCE=${P2POOL_REFERENCE:-}
REFERENCE_PYTHON=${P2POOL_REFERENCE_PYTHON:-python2.7}
DASHD=${P2POOL_DASHD:-}
SHARES=${P2POOL_INTEROP_SHARES:-300}
SPEED=${P2POOL_INTEROP_SPEED:-8}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
OUR_ADDRESS=yiVVrQAf6i7b3q5faSK6hsA9ed1ixQfpMF
LEGACY_ADDRESS=yg8gwQSCF3sbagpfE8k2ZnBCkbNX8JpzMb
OUR_NODE=(-m tests.e2e.c2pool_network --net c2pool_regtest)
THEIR_DIAL=--addnode
. "$ROOT/tests/e2e/interop_common.sh"

check_tools() {
    [ -n "$C2POOL" ] || skip "no c2pool-dash was named (P2POOL_C2POOL)"
    [ -x "$C2POOL" ] || skip "there is no program $C2POOL"
    [ -x "$PYTHON" ] || skip "no virtual environment here: make test first, or set PYTHON"
    command -v ip >/dev/null && unshare -rn true || skip "no network namespace can be made: it must reach nothing"
    [ "$SPEED" = 1 ] || command -v cc >/dev/null || skip "there is no C compiler (or set P2POOL_INTEROP_SPEED=1)"
}

# The whole trial runs in a network of its own, with nothing but the loopback.
enter() {
    if [ -z "${P2POOL_INTEROP_INSIDE:-}" ]; then
        exec env P2POOL_INTEROP_INSIDE=1 unshare -rn bash "${BASH_SOURCE[0]}" "$C2POOL"
    fi
    ip link set lo up
}

# The nodes' wall clock is fast, so that shares are: their timers, the miners and this script keep the real one.
make_clock() {
    [ "$SPEED" != 1 ] || return 0
    cc -shared -fPIC -O2 -o "$WORK/fast_clock.so" tests/e2e/fast_clock.c
    CLOCK=(env "LD_PRELOAD=$WORK/fast_clock.so" "FAST_CLOCK_SINCE=$(date +%s)" "FAST_CLOCK_SPEED=$SPEED")
}

# start_c2pool NAME WEB_PORT P2P_PORT ARGUMENTS...
start_c2pool() {
    local name=$1 web=$2 p2p=$3
    shift 3
    printf 'rpcuser=u\nrpcpassword=p\n' >"$WORK/rpc.conf"
    run "$name" "${CLOCK[@]}" env -C "$WORK" "$C2POOL" --run --regtest \
        --data-dir "$WORK/$name" --coin-rpc "127.0.0.1:${PORTS[rpc]}" --coin-rpc-auth "$WORK/rpc.conf" \
        --listen "127.0.0.1:$p2p" --stratum "127.0.0.1:$((web + 1))" --web-host 127.0.0.1 --web-port "$web" \
        --dashboard-dir "$WORK" --external-ip 127.0.0.1 "$@"
    wait_web "$name" "$web"
}

theirs() { start_c2pool theirs "${PORTS[theirs_web]}" "${PORTS[theirs_p2p]}" "$@"; }

# Addresses of the miner at ours, at theirs and at legacy p2pool-dash begin at 1000, 5000 and 9000.
start_miners() {
    run our-miner "$PYTHON" -m tests.e2e.interop_miner "${PORTS[ours_web]}" --first 1000 --suffix /0.00025
    run their-miner "$PYTHON" -m tests.e2e.interop_miner "$((PORTS[theirs_web] + 1))" --first 5000
}

end_miners() {
    end our-miner
    end their-miner
}

# --- what is tried ----------------------------------------------------------------------------------------------

watch_to() {
    check compare watch "${PORTS[ours_web]}" "${PORTS[theirs_web]}" --stratum "$((PORTS[theirs_web] + 1))" \
        --height "$1" --patience 3600
}

ask() { check "$PYTHON" -m tests.e2e.interop_c2pool "$@"; }

chain() { ask chain "${PORTS[ours_web]}" "${PORTS[theirs_web]}"; }

we_dial() {
    phase "we dial them, both mine"
    theirs
    start_relay
    ours -n "127.0.0.1:${PORTS[relay]}"
    start_miners
    watch_to $((SHARES * 40 / 100))
    chain
}

partition() {
    phase "the connection is cut for 60 s, both mine, and comes back"
    end relay KILL
    sleep 60
    ask differ "${PORTS[ours_web]}" "${PORTS[theirs_web]}"
    start_relay
    agree_on_news
}

fresh_theirs() {
    phase "a node of theirs without shares gets all of them from ours"
    start_c2pool fresh-theirs "${PORTS[fresh_web]}" "${PORTS[fresh_p2p]}" --addnode "127.0.0.1:${PORTS[ours_p2p]}"
    agree "${PORTS[ours_web]}" "${PORTS[fresh_web]}"
    ask chain "${PORTS[ours_web]}" "${PORTS[fresh_web]}"
    end fresh-theirs
}

with_legacy() {
    if ! [ -f "$REFERENCE/run_p2pool.py" ] || ! "$REFERENCE_PYTHON" -c 'import twisted, dash_hash'; then
        say "without legacy p2pool-dash: none was named"
        return 0
    fi
    phase "legacy p2pool-dash as the third, connected to both, mines, too"
    write_loopback
    export P2POOL_INTEROP_TESTNET=1
    start_legacy legacy "${PORTS[legacy_web]}" "${PORTS[legacy_p2p]}" -n "127.0.0.1:${PORTS[ours_p2p]}" \
        -n "127.0.0.1:${PORTS[theirs_p2p]}"
    run legacy-miner "$PYTHON" -m tests.e2e.interop_miner "${PORTS[legacy_web]}" --first 9000 \
        --suffix +0.00025/0.00025
    watch_to $((SHARES + 20))
    agree "${PORTS[ours_web]}" "${PORTS[legacy_web]}" --news
    chain
    end legacy-miner
    end legacy
}

# Each share is a block there: regtest's blocks are easier than the easiest share.
with_dashd() {
    if ! [ -x "$DASHD" ]; then
        say "without a real Dash Core: none was named (P2POOL_DASHD)"
        return 0
    fi
    phase "both on a real Dash Core, new share chains"
    end dash
    rm -rf "$WORK/ours" "$WORK/theirs"
    mkdir -p "$WORK/dashd"
    run dashd "${CLOCK[@]}" "$DASHD" -regtest "-datadir=$WORK/dashd" -server \
        -dnsseed=0 -discover=0 -listen=1 -rpcuser=u -rpcpassword=p "-rpcport=${PORTS[rpc]}" \
        "-bind=127.0.0.1:${PORTS[dash]}"
    ask generate "${PORTS[rpc]}"
    theirs
    ours -n "127.0.0.1:${PORTS[theirs_p2p]}"
    start_miners
    watch_to 20
    end_miners
    end ours  # before its dashd, whose end it would report
    end theirs
    ask blocks "${PORTS[rpc]}"
}

# handshake WHICH PATTERN
handshake() {
    if grep -qE "peers\] peer .* $2: c2pool, protocol 3600" "$WORK/ours.log"; then
        say "  handshake of protocol 3600, $1"
    else
        fail "no handshake of protocol 3600, $1"
    fi
}

check_logs() {
    local bad='banning peer|attempt_verify FAILED|Failed to|[Hh]andler e|\[error\]|FORFEIT'
    phase "logs"
    handshake "dialled by us" "connected"
    handshake "dialled by theirs" "connected to this node"
    cd "$WORK"
    # That is how it stops listening.
    grep -vh 'accept error: Operation canceled' theirs.log fresh-theirs.log >theirs-checked.log
    # Two miners may find a block of one height, and a dashd may be a test build.
    grep -vhE 'another block at its height came first|is orphaned: block|pre-release test build' ours.log \
        fresh-ours.log >ours-checked.log
    absent "ban, refused share or error in theirs" "$bad" theirs-checked.log
    absent "unknown or twice named transaction in theirs" 'Peer (referenced|sent)' two.log
    absent "complaint in ours" ' (warn|error|critical) |Traceback| banned| dropped' ours-checked.log
    cd "$ROOT"
}

main() {
    check_tools
    C2POOL=$(cd "$(dirname "$C2POOL")" && pwd)/$(basename "$C2POOL")
    enter
    cd "$ROOT"
    begin
    make_clock
    pick_ports rpc dash ours_web ours_p2p theirs_p2p fresh_p2p relay legacy_web legacy_p2p
    PORTS[theirs_web]=28100  # stratum has the port after it
    PORTS[fresh_web]=28110
    # c2pool-dash does not dial again what refused once, such as a node that is about to restart.
    OUR_RETURN=(-n "127.0.0.1:${PORTS[theirs_p2p]}")
    start_dash --initial-attempts 16000000
    sleep 2
    we_dial
    partition
    restart_while_we_dial
    they_dial
    chain
    fresh_ours
    fresh_theirs
    show_messages
    cp "$WORK/theirs.log" "$WORK/two.log"  # before legacy p2pool-dash joins
    with_legacy
    end_miners
    end ours
    end theirs
    with_dashd
    end_all
    check_logs
    verdict
}

main
