import sys, time
from tests.simulation import cheap_work

cheap_work.install()
import random, tempfile, hashlib, zlib, gc
from dataclasses import replace
from pathlib import Path
from twisted.logger import globalLogPublisher, formatEvent, LogLevel, globalLogBeginner
from p2pool.networks import SIMNET
from p2pool.dash.address import encode_address
from p2pool.dash.target import target_to_bits
from tests.simulation.events import EventQueue
from tests.simulation.network import Internet, Host
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.dash_chain import DashChain
from tests.simulation.dash_daemon import DashNetwork, SimulatedRpc
from tests.simulation.pool_node import PoolProcess, pool_config, P2P_PORT, WORKER_PORT
from tests.simulation.miner import SimulatedMiner

NODES, MINERS, HOURS = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
EPOCH = 1_760_000_000
SHARE_ATTEMPTS = 4096
net = replace(
    SIMNET,
    share_period=20,
    chain_length=4320,
    real_chain_length=4320,
    target_lookbehind=100,
    spread=10,
    max_target=2**256 // 2**8 - 1,
    min_difficulty=2.0**-32 * 4,
    start_difficulty=2.0**-32 * 64,
    identifier=b"simulate",
    prefix=b"simulate",
)
ev = EventQueue("7")


def failed():
    import traceback

    traceback.print_exc()


ev.failed = failed
inet = Internet(ev, lambda a, b: 0.02 if a == b else 0.09)
LOUD = '-v' in sys.argv
trace = hashlib.blake2b()


def delivered(a, b, data):
    if LOUD: print("%.9f %s %s %d %d"%(ev.now,a.name,b.name,len(data),zlib.crc32(data)))
    trace.update(b"%r %r %r %d" % (ev.now, a.name, b.name, zlib.crc32(data)))


inet.delivered = delivered
logs = 0


def observe(event):
    global logs
    text = formatEvent(event)
    owner = ev.owner
    who = getattr(getattr(owner, "host", None), "name", "-")
    logs += 1
    if event.get("log_namespace","").startswith("p2pool") : trace.update(f"{ev.now!r} {who} {text}".encode())
    if event["log_level"] >= LogLevel.error or LOUD:
        print(f"{ev.now:10.3f} {who:6} {text}")
        f = event.get("log_failure")
        if f:
            print(f.getTraceback())


globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
pool_rate = SHARE_ATTEMPTS / 20
chain = DashChain(net, target_to_bits(2**256 // int(pool_rate * 1500)), EPOCH)
dash = DashNetwork(inet, chain, others=1 / 166)
SimulatedRpc.daemons = dash
tmp = tempfile.mkdtemp(prefix="sim-", dir="/dev/shm")
hosts = [
    inet.add(Host(f"n{i}", f"{20 + i % 7}.{i // 250}.{i % 250}.1", "eu" if i % 2 else "us")) for i in range(NODES)
]
procs = []
rng = ev.chance("world")
for i, h in enumerate(hosts):
    dash.add(h)
    addr = encode_address(net.parent.addresses.pubkey_hash, hashlib.sha256(b"op%d" % i).digest()[:20])
    flags = ["--share-rate", "30", "--outgoing-conns", "4"]
    for j in rng.sample(range(NODES), min(3, NODES)):
        if j != i:
            flags += ["--p2pool-node", f"{hosts[j].address}:{P2P_PORT}"]
    cfg = pool_config(Path(tmp) / h.name, net, addr, tuple(flags))
    r = SimulatedReactor(inet, h)
    p = PoolProcess(r, cfg, clock=lambda: EPOCH + ev.now, chance=ev.chance(f"node {i}"))
    procs.append(p)
    ev.at(rng.random() * 5, r, p.start)
dash.start()
weights = [1 / (k + 1) for k in range(MINERS)]
tw = sum(weights)
miners = []
for k in range(MINERS):
    h = inet.add(Host(f"m{k}", f"50.{k // 250}.{k % 250}.1", "eu" if k % 2 else "us"))
    r = SimulatedReactor(inet, h)
    addr = encode_address(net.parent.addresses.pubkey_hash, hashlib.sha256(b"miner%d" % k).digest()[:20])
    m = SimulatedMiner(
        r,
        addr,
        hash_rate=pool_rate * weights[k] / tw,
        pools=[(hosts[k % NODES].address, WORKER_PORT)],
        chance=ev.chance(f"miner {k}"),
    )
    miners.append(m)
    ev.at(6 + rng.random() * 5, r, m.start)
gc.disable()
t0 = time.perf_counter()
for minute in range(int(HOURS * 6)):
    ev.run((minute + 1) * 600.0)
    gc.collect()
    n0 = procs[0].node
    print(
        f"{ev.now / 60:6.0f} min  {ev.count} events  {time.perf_counter() - t0:.1f} s  best {[p.node.tracker.height(p.node.best_share) if p.node.best_share else 0 for p in procs[:3]]} same {len({p.node.best_share for p in procs})} blocks {dash.best.height} peers {len(n0 and procs[0].peers.hub.peers)} acc {sum(m.accepted for m in miners)} ref {sum(sum(m.refused.values()) for m in miners)} {dash.refusals[-1:]} logs {logs} {trace.hexdigest()[:12]}",
        flush=True,
    )
import shutil

shutil.rmtree(tmp)
