# What the trials with other software share. Sourced by interop_*.sh, which set ROOT and PYTHON.
# shellcheck shell=bash

WORK=""
FAILURES=0
OUR_RETURN=()  # see they_dial
CLOCK=()  # what nodes are run with, such as another clock
declare -A PIDS=()
declare -A PORTS=()

# phase WHAT: with the seconds since the start
phase() { say "[$SECONDS s] $*"; }

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

# begin: a directory for logs and data, removed at the end of a good run
begin() {
    WORK=$(mktemp -d)
    trap finish EXIT
    trap 'exit 130' INT TERM
}

# pick_ports NAME...
pick_ports() {
    local name port
    while read -r name port; do PORTS[$name]=$port; done < <(
        "$PYTHON" -c 'import sys; from tests.e2e.process import free_port
for name in sys.argv[1:]: print(name, free_port())' "$@"
    )
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

# Runs a program whose ports are on the loopback only, whatever it asks for (any Twisted, Python 2 or 3). With
# P2POOL_INTEROP_TESTNET legacy p2pool-dash takes the share chain of its test network for its regtest one.
write_loopback() {
    cat >"$WORK/loopback.py" <<'PYTHON'
import os
import sys

from twisted.internet import reactor

listen = reactor.listenTCP
reactor.listenTCP = lambda port, factory, backlog=50, interface="": listen(
    port, factory, backlog, interface or "127.0.0.1"
)
sys.argv = sys.argv[1:]
sys.path[0] = "."
if os.environ.get("P2POOL_INTEROP_TESTNET"):
    from p2pool.networks import nets

    same = "IDENTIFIER PREFIX SHARE_PERIOD CHAIN_LENGTH REAL_CHAIN_LENGTH TARGET_LOOKBEHIND SPREAD MIN_TARGET MAX_TARGET"
    for name in same.split():
        setattr(nets["dash_regtest"], name, getattr(nets["dash_testnet"], name))
with open(sys.argv[0]) as program:
    exec(compile(program.read(), sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})
PYTHON
}

# start_dash ARGUMENTS...: a simulated Dash Core
start_dash() {
    run dash "${CLOCK[@]}" "$PYTHON" -m p2pool.simnet --network dash_regtest --rpc-port "${PORTS[rpc]}" \
        --p2p-port "${PORTS[dash]}" --rpc-user u --rpc-password p "$@"
}

# start_ours NAME WEB_PORT P2P_PORT ARGUMENTS...: our node (its command is OUR_NODE), data kept below NAME. It would
# warn of this script's variables: they look like settings.
start_ours() {
    local name=$1 web=$2 p2p=$3 variables=("${!P2POOL_@}")
    shift 3
    run "$name" "${CLOCK[@]}" env "${variables[@]/#/--unset=}" "$PYTHON" "${OUR_NODE[@]}" --dashd-address 127.0.0.1 \
        --dashd-rpc-port "${PORTS[rpc]}" --dashd-p2p-port "${PORTS[dash]}" -w "127.0.0.1:$web" \
        --p2pool-port "127.0.0.1:$p2p" -a "$OUR_ADDRESS" --datadir "$WORK/$name" --outgoing-conns 0 "$@" u p
    wait_web "$name" "$web"
}

# start_legacy NAME WEB_PORT P2P_PORT ARGUMENTS...: legacy p2pool-dash from REFERENCE, with LEGACY_ADDRESS
start_legacy() {
    local name=$1 web=$2 p2p=$3
    shift 3
    run "$name" "${CLOCK[@]}" env -C "$REFERENCE" PYTHONDONTWRITEBYTECODE=1 "$REFERENCE_PYTHON" -u "$WORK/loopback.py" \
        run_p2pool.py --net dash_regtest --dashd-address 127.0.0.1 --dashd-rpc-port "${PORTS[rpc]}" \
        --dashd-p2p-port "${PORTS[dash]}" -w "127.0.0.1:$web" --p2pool-port "$p2p" -a "$LEGACY_ADDRESS" \
        --datadir "$WORK/$name" --disable-upnp --disable-advertise --disable-broadcaster --no-bugreport \
        --outgoing-conns 0 "$@" u p
    wait_web "$name" "$web"
}

start_relay() {
    run relay "$PYTHON" -m tests.e2e.interop_watch relay "${PORTS[relay]}" "${PORTS[theirs_p2p]}" \
        --counts "$WORK/relay.counts"
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

# --- comparing ---------------------------------------------------------------------------------------------------

compare() { "$PYTHON" -m tests.e2e.interop_watch "$@"; }

# agree OUR_WEB_PORT THEIR_WEB_PORT ARGUMENTS...
agree() { check compare agree "$@" --patience 240; }

agree_on_news() { agree "${PORTS[ours_web]}" "${PORTS[theirs_web]}" --news; }

ours() { start_ours ours "${PORTS[ours_web]}" "${PORTS[ours_p2p]}" "$@"; }

# restart ours|theirs SIGNAL ARGUMENTS...
restart() {
    local name=$1 signal=$2
    shift 2
    phase "$name ends with SIG$signal and comes back"
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

# they_dial: their flag for it is THEIR_DIAL; ours has OUR_RETURN after a restart
they_dial() {
    phase "they dial us"
    end relay
    end ours
    end theirs
    ours
    theirs "$THEIR_DIAL" "127.0.0.1:${PORTS[ours_p2p]}"
    agree_on_news
    restart theirs TERM "$THEIR_DIAL" "127.0.0.1:${PORTS[ours_p2p]}"
    restart ours KILL "${OUR_RETURN[@]}"
    restart theirs KILL "$THEIR_DIAL" "127.0.0.1:${PORTS[ours_p2p]}"
    restart ours TERM "${OUR_RETURN[@]}"
    watch_to "$SHARES"
}

fresh_ours() {
    phase "a node of ours without shares gets all of them from theirs"
    start_ours fresh-ours "${PORTS[fresh_web]}" "${PORTS[fresh_p2p]}" -n "127.0.0.1:${PORTS[theirs_p2p]}"
    agree "${PORTS[fresh_web]}" "${PORTS[theirs_web]}"
    end fresh-ours
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
