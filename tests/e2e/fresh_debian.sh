#!/usr/bin/env bash
# From nothing but a fresh Debian to a block on simnet, in each way that the documentation names, with the time that
# each step takes: README's `make run` and `make test`; the wheel of `make dist`; the package of `make deb`, and its
# upgrade.
#
#     debootstrap --variant=minbase bookworm /var/tmp/bookworm
#     tests/e2e/fresh_debian.sh /var/tmp/bookworm [STEP...]
#
# Needs root, git, about 3 GB in TMPDIR (default: /var/tmp) and 10 to 60 minutes; downloads packages. The root file
# system is not changed: each way gets a copy of its own, an overlay that is gone afterwards. The checkout is a clone
# of this one's HEAD. SITE=DIR: copy what is in DIR into each of them first, such as etc/resolv.conf,
# etc/pip.conf or certificates of the local network. TESTS: what `make test` runs (all tests take much longer).
# Steps: readme, tests, wheel, deb; default: all, in this order. wheel and deb need readme.
set -euo pipefail
TESTS=${TESTS-tests/dash tests/wire tests/share tests/test_packaging.py}
PORT=19783 # of --net simnet
PATIENCE=900 # seconds until a block
CLEAN=(env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    DEBIAN_FRONTEND=noninteractive)

if [ "${FRESH_DEBIAN_NAMESPACE:-}" != "$$" ]; then
    [ "$(id -u)" = 0 ] || { echo "skipped: only root can do this"; exit 0; }
    # All mounts are gone when its last process ends, whatever happens.
    FRESH_DEBIAN_NAMESPACE=$$ exec unshare --mount --propagation private "$0" "$@"
fi

base=$(realpath "$1")
shift
[ "$#" -gt 0 ] || set -- readme tests wheel deb
repository=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh-debian-XXXXXX")
running=""
cleanup() {
    [ -z "$running" ] || kill -KILL -- "-$running" 2>/dev/null || true
    for mounted in "$work"/*/root; do
        umount --recursive --lazy "$mounted" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }

step() { # TEXT COMMAND...: run it; its output is shown if it fails
    local text=$1 start=$SECONDS
    shift
    "$@" >"$work/output" 2>&1 || { cat "$work/output"; fail "$text"; }
    say "$(printf '%5d s  %s' $((SECONDS - start)) "$text")"
}

fresh() { # NAME: a new copy of the root file system
    mkdir -p "$work/$1/upper" "$work/$1/work" "$work/$1/root"
    mount -t overlay -o "lowerdir=$base,upperdir=$work/$1/upper,workdir=$work/$1/work" none "$work/$1/root"
    mount -t proc none "$work/$1/root/proc"
    mount -t tmpfs none "$work/$1/root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 none "$work/$1/root/dev/pts"
    ln -sf pts/ptmx "$work/$1/root/dev/ptmx"
    echo "127.0.0.1 localhost" >"$work/$1/root/etc/hosts" # as every machine has it
    [ -z "${SITE:-}" ] || cp -r "$SITE/." "$work/$1/root/"
}

inside() { # NAME COMMAND: run a line of shell in a copy
    chroot "$work/$1/root" "${CLEAN[@]}" sh -ec "$2"
}

install_packages() { # NAME PACKAGE...
    local name=$1
    shift
    step "apt install $*" inside "$name" "apt-get -qq update && apt-get -qq install --no-install-recommends $*"
}

blocks() { # NAME: how many blocks the node has found
    inside "$1" "python3 -c '
import json, urllib.request
found = json.load(urllib.request.urlopen(\"http://127.0.0.1:$PORT/recent_blocks\", timeout=5))
print(sum(each[\"detailed_status\"] in (\"accepted\", \"confirmed\") for each in found))'" 2>/dev/null || echo 0
}

listening() { (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

until_block() { # NAME TEXT COMMAND
    local start=$SECONDS
    listening && fail "port $PORT is in use by another program"
    setsid chroot "$work/$1/root" "${CLEAN[@]}" sh -ec "$3" >"$work/$1.log" 2>&1 &
    running=$!
    until [ "$(blocks "$1")" -gt 0 ]; do
        kill -0 "$running" 2>/dev/null && [ $((SECONDS - start)) -lt $PATIENCE ] || { cat "$work/$1.log"; fail "$2"; }
        sleep 1
    done
    say "$(printf '%5d s  %s' $((SECONDS - start)) "$2: a block")"
    kill -TERM -- "-$running"
    wait "$running" || true
    running=""
    for _ in $(seq 20); do listening || return 0; sleep 0.5; done
    fail "$2: it did not stop"
}

readme() {
    say "README, in a checkout"
    fresh readme
    git clone --quiet "file://$repository" "$work/readme/root/root/p2pool-dash"
    install_packages readme python3 python3-venv python3-dev gcc make
    until_block readme "make run" "cd /root/p2pool-dash && exec make run"
}

tests() {
    step "make test ARGS='$TESTS'" inside readme "cd /root/p2pool-dash && make test ARGS='$TESTS'"
    tail -1 "$work/output"
}

wheel() {
    say "The wheel"
    step "make dist" inside readme "cd /root/p2pool-dash && make dist"
    fresh wheel
    cp "$work"/readme/root/root/p2pool-dash/dist/*.whl "$work/wheel/root/root/"
    install_packages wheel python3 python3-venv python3-dev gcc
    step "pip install dist/*.whl" inside wheel "python3 -m venv /opt/venv && /opt/venv/bin/pip install -q /root/*.whl"
    step "p2pool-dash --version" inside wheel "/opt/venv/bin/p2pool-dash --version"
    cat "$work/output"
    until_block wheel "p2pool-dash --net simnet, in an empty directory" \
        "mkdir /root/empty && cd /root/empty && exec /opt/venv/bin/p2pool-dash --net simnet"
}

deb() {
    say "The Debian package"
    step "make deb" inside readme "cd /root/p2pool-dash && make deb"
    fresh deb
    cp "$work"/readme/root/root/p2pool-dash/build/*.deb "$work/deb/root/root/"
    step "apt update" inside deb "apt-get -qq update"
    # The same package with an older version, to upgrade from.
    inside deb "cd /root && dpkg-deb -R p2pool-dash_*.deb older" >/dev/null
    inside deb "cd /root && sed -i 's/^Version: .*/Version: 0.9/' older/DEBIAN/control" >/dev/null
    inside deb "cd /root && dpkg-deb -Znone -b older older.deb" >/dev/null
    step "apt install ./older.deb" inside deb "apt-get -qq install --no-install-recommends /root/older.deb"
    grep "does not run yet" "$work/output" || fail "postinst says nothing"
    step "p2pool-dash --version" inside deb "p2pool-dash --version"
    cat "$work/output"
    local node="exec setpriv --reuid=p2pool --regid=p2pool --init-groups p2pool-dash --net simnet \
        --config /etc/p2pool-dash/p2pool-dash.toml --datadir /var/lib/p2pool-dash"
    until_block deb "p2pool-dash --net simnet, as the user p2pool" "$node"
    inside deb "sed -i 's/^#fee = .*/fee = 0.5/' /etc/p2pool-dash/p2pool-dash.toml"
    local before after
    before=$(inside deb "stat -c %i /var/lib/p2pool-dash/simnet/shares.sqlite")
    step "dpkg -i p2pool-dash_*.deb" inside deb "dpkg -i /root/p2pool-dash_*.deb"
    after=$(inside deb "stat -c %i /var/lib/p2pool-dash/simnet/shares.sqlite")
    [ "$before" = "$after" ] || fail "the upgrade changed the data"
    inside deb "grep -q '^fee = 0.5' /etc/p2pool-dash/p2pool-dash.toml" || fail "the upgrade changed the settings"
    until_block deb "p2pool-dash --net simnet, after the upgrade" "$node"
    step "dpkg --purge p2pool-dash" inside deb "dpkg --purge p2pool-dash"
    # Blocks of the last minutes are not buried yet: then the data stays.
    grep "kept /var/lib/p2pool-dash" "$work/output" || inside deb "test ! -e /var/lib/p2pool-dash" || fail "data is left"
    for left in /etc/p2pool-dash /opt/p2pool-dash /usr/bin/p2pool-dash; do
        inside deb "test ! -e $left -a ! -L $left" || fail "the purge left $left"
    done
    ls -l "$work"/deb/root/root/p2pool-dash_*.deb | awk '{print $5 " bytes: the package"}'
}

for each in "$@"; do "$each"; done
say "all steps passed in $SECONDS s"
