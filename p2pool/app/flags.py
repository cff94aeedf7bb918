"""The command line: what can be said, and the help that a newcomer reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from p2pool import __version__
from p2pool.app.legacy_flags import add_legacy_flags
from p2pool.app.peer_flags import add_peer_flags
from p2pool.networks import NETWORKS

_DESCRIPTION = """\
A node of p2pool for Dash: miners point their machines at it, and every block that the pool finds pays all of
them in its own coinbase, without anybody who holds their money. It needs a running Dash Core (dashd).
"""

_EXAMPLES = """\
examples:
  try it, nothing else needed:    %(prog)s --net simnet
  mine, dashd on this machine:    %(prog)s -a YOUR_DASH_ADDRESS
  pay dashd's own wallet:         %(prog)s
  with RPC user and password:     %(prog)s -a YOUR_DASH_ADDRESS rpcuser rpcpassword

Then point miners (X11) at  stratum+tcp://THIS_MACHINE:PORT  with a Dash address as user name, and open
http://THIS_MACHINE:PORT/ in a browser. A TOML file given with --config may set everything that the flags can.
"""


def _ports(attribute: str) -> str:
    return ", ".join(f"{name} {getattr(n, attribute)}" for name, n in NETWORKS.items())


def build_parser(default_datadir: Path) -> argparse.ArgumentParser:
    """The parser. It gives no defaults: what was not said is absent from the result."""
    parser = argparse.ArgumentParser(
        prog="run_p2pool.py" if default_datadir.name == "data" else "p2pool-dash",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    shown_datadir = str(default_datadir).replace("%", "%%")  # argparse formats help texts with %
    add = parser.add_argument
    add("--version", action="version", version=f"p2pool-dash {__version__}")
    add("--net", choices=list(NETWORKS), help="the network to mine on (default: dash)")
    _add_payouts(parser)
    add("--config", metavar="FILE", help="read settings from a TOML file; its names are those of the flags")
    add(
        "--datadir",
        metavar="DIR",
        help=f"keep shares, log and locks below this directory (default: {shown_datadir})",
    )
    add("--logfile", metavar="FILE", help="log to this file too (default: DATADIR/NET/log)")
    add("--debug", action="store_true", help="log much more")
    add(
        "--bench",
        action="store_true",
        help="log how long templates and new work take, submissions and jobs over 10 ms, and a minute's summary",
    )
    add(
        "--give-author",
        metavar="PERCENT",
        type=float,
        help="give this part of your work to the developers (default: 1)",
    )
    add("--web-static", metavar="DIR", help="serve web pages from this directory instead of the built-in ones")
    add(
        "--metrics-max-workers",
        metavar="N",
        type=int,
        help="name this many workers in /metrics, the strongest (default: 100, at most 1000)",
    )
    add(
        "--ws-allow-origin",
        metavar="ORIGIN",
        action="append",
        help="let pages of this site (https://example.org) listen to live updates (/ws), too; may be given "
        "several times (default: this node's own pages only)",
    )
    _add_shares(parser)
    _add_history(parser)
    _add_miners(parser)
    _add_difficulty(parser)
    _add_safeguards(parser)
    _add_tls(parser)
    _add_web(parser)
    _add_webhooks(parser)
    _add_alerts(parser)
    add_peer_flags(parser)
    _add_dash_core(parser)
    _add_merged(parser)
    _add_simnet(parser)
    add_legacy_flags(parser)
    return parser


def _add_history(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("history, for graphs and lists").add_argument
    add(
        "--stats-db",
        metavar="FILE|URL",
        help="keep history in this SQLite file, or in PostgreSQL: postgresql://USER:PASSWORD@HOST/DATABASE "
        "(needs the package psycopg; several nodes may share it), or 'none' for no history "
        "(default: DATADIR/NET/history.sqlite)",
    )
    add(
        "--stats-retention",
        metavar="DAYS",
        type=float,
        help="keep history for so long; blocks are kept for ever (default: 30)",
    )
    add(
        "--stats-node",
        metavar="NAME",
        help="this node's name in the database (default: one that is chosen at the first start)",
    )


def _add_payouts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-a",
        "--address",
        metavar="ADDRESS",
        help="the Dash address (P2PKH) that this node's own payouts go to; 'dynamic' for fresh ones of dashd's "
        "wallet (default: one of dashd's wallet, asked for once and kept in DATADIR/NET/cached_payout_address)",
    )
    add(
        "-i",
        "--numaddresses",
        metavar="N",
        type=int,
        help="with -a dynamic: have this many addresses in use at a time (default: 2)",
    )
    add(
        "-t",
        "--timeaddresses",
        metavar="SECONDS",
        type=float,
        help="with -a dynamic: a new address replaces the oldest after this time (default: 172800, two days)",
    )


def _add_shares(parser: argparse.ArgumentParser) -> None:
    shares = parser.add_argument_group("shares")
    shares.add_argument(
        "--import-shares",
        metavar="DIR",
        help="read the share files (shares.0, shares.1, ...) of the older p2pool-dash, or an archive of this one, "
        "from this directory; they are not changed (those in DATADIR/NET are read by themselves, once)",
    )
    shares.add_argument(
        "--disable-share-archive",
        action="store_true",
        help="delete shares that lie behind the chain instead of keeping them in DATADIR/NET/share-archive",
    )


def _add_miners(parser: argparse.ArgumentParser) -> None:
    miners = parser.add_argument_group("miners and browsers")
    miners.add_argument(
        "-w",
        "--worker-port",
        metavar="[ADDR:]PORT",
        help=f"listen here for miners and browsers (default: all interfaces, {_ports('worker_port')})",
    )
    miners.add_argument(
        "-f",
        "--fee",
        metavar="PERCENT",
        type=float,
        help="mine this part of others' work to your own address (default: 0)",
    )
    miners.add_argument(
        "-s",
        "--share-rate",
        metavar="SECONDS",
        type=float,
        help="adjust each connection's difficulty to one submission in this time (default: 10)",
    )


def _add_difficulty(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("miners: difficulty")
    start = ", ".join(f"{name} {n.start_difficulty:g}" for name, n in NETWORKS.items())
    group.add_argument(
        "--start-difficulty",
        metavar="D",
        type=float,
        help=f"what a new connection starts with, rounded down to a power of two ({start}); "
        "miners may ask for another one (d=D as password)",
    )
    low = ", ".join(f"{name} {n.min_difficulty:.2g}" for name, n in NETWORKS.items())
    group.add_argument("--min-difficulty", metavar="D", type=float, help=f"never go below this ({low})")
    group.add_argument("--max-difficulty", metavar="D", type=float, help="never go above this (default: 1000000)")


def _add_safeguards(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("miners: safeguards")
    add = group.add_argument
    add("--max-connections", metavar="N", type=int, help="connections of miners in all (default: 10000)")
    add("--max-connections-per-ip", metavar="N", type=int, help="of one address, or IPv6 /64 (default: 1000)")
    add(
        "--session-timeout",
        metavar="SECONDS",
        type=float,
        help="a miner that comes back within this time goes on where it was (default: 3600; 0: never)",
    )
    add("--ban-duration", metavar="SECONDS", type=float, help="keep a misbehaving address out (default: 300)")
    add(
        "--ban-allow",
        metavar="CIDR",
        action="append",
        help="never ban addresses of this network; may be given several times",
    )
    add(
        "--stratum-proxy-protocol",
        metavar="CIDR",
        action="append",
        help="connections from this address or network (a load balancer) begin with a PROXY protocol header, "
        "version 1 or 2, whose address counts; may be given several times",
    )
    add("--login-time", metavar="SECONDS", type=float, help="subscribe and authorize within (default: 30)")
    add("--max-line", metavar="BYTES", type=int, help="close on a longer line (default: 8192)")
    add("--max-unsent", metavar="BYTES", type=int, help="close when more waits unread (default: 262144)")
    add("--keepalive", metavar="SECONDS", type=int, help="ask a silent machine by TCP after (default: 60)")


def _add_tls(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("miners: TLS")
    group.add_argument(
        "--stratum-ssl-port", metavar="[ADDR:]PORT", help="listen here for miners through TLS (stratum+ssl)"
    )
    group.add_argument(
        "--ssl-cert",
        metavar="FILE",
        help="the certificate, PEM, with its chain; a renewed one is taken without a restart",
    )
    group.add_argument("--ssl-key", metavar="FILE", help="its private key, PEM, without a passphrase")
    group.add_argument(
        "--ssl-self-signed",
        action="store_true",
        help="make a self-signed certificate where there is none (default place: DATADIR/NET/stratum-cert.pem)",
    )


def _add_web(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("web: where it is, and who may ask")
    add = group.add_argument
    add(
        "--web-port",
        metavar="[ADDR:]PORT",
        help="pages, API and metrics are here, and the worker port is for miners only (default: the worker port)",
    )
    add("--web-ssl-cert", metavar="FILE", help="with --web-port: encrypt by this certificate, PEM, with its chain")
    add("--web-ssl-key", metavar="FILE", help="its private key, PEM, without a passphrase")
    add(
        "--web-ssl-self-signed",
        action="store_true",
        help="with --web-port: encrypt; make a self-signed certificate where there is none "
        "(default place: DATADIR/NET/web-cert.pem)",
    )
    add(
        "--web-password",
        metavar="USER:PASSWORD",
        help="ask for these before anything is shown (HTTP Basic); better stands in a --config file, which others "
        "cannot read",
    )
    add(
        "--api-key",
        metavar="KEY",
        action="append",
        help="a key, 16 characters or more, that admin actions need (X-API-Key or Authorization: Bearer); may be "
        "given several times, also as P2POOL_API_KEYS in the environment",
    )
    add("--api-key-file", metavar="FILE", help="read API keys from this file, one a line")
    add(
        "--api-key-endpoints",
        metavar="LIST",
        help="what else needs an API key: paths with * and ?, separated by commas, like /metrics,/api/v1/*",
    )
    add(
        "--web-trusted-proxy",
        metavar="CIDR",
        action="append",
        help="a reverse proxy at this address or network is believed where its X-Forwarded-For says who asks, and "
        "X-Forwarded-Host and X-Forwarded-Prefix for what; may be given several times",
    )
    add(
        "--web-host",
        metavar="NAME",
        action="append",
        help="a host name by which browsers reach this node; may be given several times. Live updates, and all "
        "that needs a key or the password, are refused under other names than these, this machine's and addresses",
    )
    add(
        "--web-rate-limit",
        metavar="N",
        type=float,
        help="requests a second of one address, or IPv6 /64, which may save up for 5 seconds (default: 200; 0: no "
        "limit)",
    )


def _add_webhooks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("webhooks: events for programs")
    add = group.add_argument
    add("--block-webhook", metavar="URL", action="append", help="POST here when a block is found; may be repeated")
    add("--webhook", metavar="URL", action="append", help="POST here when something happens; may be repeated")
    add("--webhook-events", metavar="LIST", help="what --webhook is told, separated by commas (default: all)")
    add(
        "--webhook-secret",
        metavar="TEXT",
        help="sign what is posted (HMAC-SHA256 in X-P2Pool-Signature); also as P2POOL_WEBHOOK_SECRET in the "
        "environment",
    )
    add("--webhook-secret-file", metavar="FILE", help="read the secret from this file")
    add(
        "--webhook-allow-private",
        action="store_true",
        help="follow redirects of webhooks to private, loopback and link-local addresses, too",
    )


def _add_alerts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("alerts: messages for people")
    add = group.add_argument
    add("--alert-email", metavar="ADDRESS", action="append", help="send alerts there; may be repeated")
    add(
        "--alert-smtp-server",
        metavar="HOST[:PORT]",
        help="the mail server; smtps://HOST:PORT for one that is encrypted from the first byte (default ports: "
        "25, 587 with a login, smtps 465)",
    )
    add("--alert-smtp-user", metavar="USER", help="log in there; only through TLS")
    add(
        "--alert-smtp-password",
        metavar="PASSWORD",
        help="better as --alert-smtp-password-file, or P2POOL_ALERT_SMTP_PASSWORD in the environment",
    )
    add("--alert-smtp-password-file", metavar="FILE", help="read the password from this file")
    add("--alert-smtp-ca", metavar="FILE", help="trust these certificates (PEM) in place of the system's")
    add("--alert-from", metavar="ADDRESS", help="the sender (default: the user, else p2pool@THIS_MACHINE)")
    add(
        "--alert-url",
        metavar="URL",
        action="append",
        help="send alerts to whatever the library apprise reaches: tgram://..., discord://..., slack://..., "
        "twilio://...; may be repeated, also as P2POOL_ALERT_URLS in the environment",
    )
    add("--alert-url-file", metavar="FILE", help="read such URLs from this file, one a line")
    add(
        "--alert-events",
        metavar="LIST",
        help="what people are told, separated by commas (default: all but worker_up, block_confirmed, ban)",
    )
    add(
        "--alert-threshold",
        metavar="NAME=NUMBER",
        action="append",
        help="when something counts: worker_down=600, dashd_lost=60, peers_lost=300, storage_problem=10, "
        "software_lost=600, hash_rate_drop_time=300 (seconds), hash_rate_drop=50 (percent of the hour's average); "
        "may be repeated",
    )
    add(
        "--alert-group",
        metavar="SECONDS",
        type=float,
        help="tell what happens within this time together (default: 60)",
    )
    add(
        "--alert-quiet",
        metavar="TIMES",
        help="hold messages at these times of this machine's day, like 22:00-07:00, and send them together "
        "afterwards",
    )
    add("--alert-quiet-except", metavar="LIST", help="events that are told in quiet times, too")
    add("--alert-node", metavar="NAME", help="what messages call this node (default: the machine's name)")
    add("--alert-page", metavar="URL", help="where people find its pages (default: the address on this machine)")


def _add_dash_core(parser: argparse.ArgumentParser) -> None:
    dashd = parser.add_argument_group("Dash Core")
    rpc_ports = ", ".join(f"{name} {n.parent.rpc_port}" for name, n in NETWORKS.items())
    p2p_ports = ", ".join(f"{name} {n.parent.p2p_port}" for name, n in NETWORKS.items())
    dashd.add_argument(
        "--dashd-address",
        metavar="HOST",
        help="where dashd runs (default: this machine; on simnet: a simulated one in this process)",
    )
    dashd.add_argument(
        "--dashd-rpc-port",
        metavar="PORT",
        type=int,
        help=f"dashd's RPC port (default: from dash.conf, else {rpc_ports})",
    )
    dashd.add_argument("--dashd-rpc-ssl", action="store_true", help="speak to dashd's RPC through TLS")
    dashd.add_argument(
        "--dashd-p2p-port", metavar="PORT", type=int, help=f"dashd's p2p port (default: {p2p_ports})"
    )
    dashd.add_argument(
        "--dashd-config-path",
        metavar="FILE",
        help="dash.conf with rpcuser and rpcpassword (default: ~/.dashcore/dash.conf)",
    )
    dashd.add_argument(
        "--dashd-zmq",
        metavar="ADDRESS",
        help="hear of blocks by ZMQ, too: dashd's zmqpubhashblock, tcp://HOST:PORT",
    )
    dashd.add_argument(
        "--dashd",
        metavar="URL",
        action="append",
        help="a dashd: http://USER:PASSWORD@HOST:PORT, https://..., or http://HOST:PORT/?cookie=FILE; options "
        "after the ?, joined by &: p2p=PORT, zmq=tcp://HOST:PORT. May be given several times: the best one serves "
        "work, all are given blocks. The local dashd is one of them only where a flag above or RPCPASS names it",
    )
    dashd.add_argument(
        "--broadcaster-max-peers",
        metavar="N",
        type=int,
        help="keep N nodes of the Dash network ready to be sent found blocks (default: 20)",
    )
    dashd.add_argument(
        "--disable-broadcaster", action="store_true", help="send found blocks to your own dashds only"
    )
    dashd.add_argument("--rpcuser", metavar="NAME", help="the user of dashd's RPC, with --rpcpassword")
    dashd.add_argument(
        "--rpcpassword",
        metavar="PASSWORD",
        help="its password; better in a --config file or dash.conf, since other users of the machine see flags",
    )
    dashd.add_argument(
        "rpc_arguments",
        metavar="[RPCUSER] RPCPASS",
        nargs="*",
        help="credentials for dashd; without them they are read from dash.conf, else from dashd's .cookie file",
    )


def _add_merged(parser: argparse.ArgumentParser) -> None:
    merged = parser.add_argument_group("merged mining")
    merged.add_argument(
        "--merged",
        metavar="URL",
        action="append",
        help="mine the chain of this daemon as well, with the same work: http://USER:PASSWORD@HOST:PORT, or "
        "http://HOST:PORT?cookie=FILE, of a daemon that knows getauxblock; may be given several times, and better "
        "stands in a --config file, which others cannot read",
    )


def _add_simnet(parser: argparse.ArgumentParser) -> None:
    simnet = parser.add_argument_group("simulated network (--net simnet)")
    simnet.add_argument("--simnet-miners", metavar="N", type=int, help="CPU miners to run in it (default: 2)")
    simnet.add_argument(
        "--simnet-hash-rate",
        metavar="H/S",
        type=float,
        help="hashes a second of each of these miners (default: as many as an otherwise idle CPU makes)",
    )
    simnet.add_argument(
        "--simnet-block-period", metavar="SECONDS", type=float, help="aim at one block in this time (default: 60)"
    )
    simnet.add_argument("--simnet-rules", metavar="NAME", help="the chain's rules: v23, v24@HEIGHT (default: v23)")
