"""The command line's flags about other nodes of the pool. Called by `flags`."""

from __future__ import annotations

import argparse

from p2pool.networks import NETWORKS


def add_peer_flags(parser: argparse.ArgumentParser) -> None:
    """Add what can be said about other nodes."""
    ports = ", ".join(f"{name} {network.p2p_port}" for name, network in NETWORKS.items())
    peers = parser.add_argument_group("other p2pool nodes")
    peers.add_argument(
        "--p2pool-port",
        metavar="[ADDR:]PORT",
        help=f"listen here for other nodes (default: all interfaces, {ports})",
    )
    peers.add_argument(
        "-n",
        "--p2pool-node",
        metavar="ADDR[:PORT]",
        action="append",
        help="stay connected with this node; may be given several times",
    )
    peers.add_argument(
        "--bootstrap",
        metavar="ADDR[:PORT]",
        action="append",
        help="while too few nodes are connected, look for more at this address or all addresses of this name, "
        "before the built-in ones; may be given several times, also one a line in DATADIR/NET/bootstrap.txt, "
        "which may change while the node runs",
    )
    peers.add_argument(
        "--max-conns", metavar="N", type=int, help="accept this many connections of other nodes (default: 40)"
    )
    peers.add_argument(
        "--outgoing-conns", metavar="N", type=int, help="connect to other nodes until there are N (default: 6)"
    )
    peers.add_argument(
        "--external-ip",
        metavar="ADDR[:PORT]",
        help="tell other nodes to reach this one here (default: the address that they see)",
    )
    peers.add_argument(
        "--disable-upnp", action="store_true", help="do not ask the router (UPnP) to let other nodes in"
    )
    peers.add_argument(
        "--disable-advertise", action="store_true", help="do not tell other nodes that this one can be reached"
    )
