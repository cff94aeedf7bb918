"""What an operator can set about other nodes of the pool."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.hosts import EVERY_KIND, NetworkKind
from p2pool.base.setting_values import read_listen_endpoint, read_node_address
from p2pool.base.settings import Given, Secret, Shown, setting, switch
from p2pool.base.socks import Proxy, read_proxy
from p2pool.networks import NETWORKS


def _read_network(given: Given) -> NetworkKind:
    try:
        return NetworkKind(given.text)
    except ValueError:
        raise given.refused(f"give one of {', '.join(kind.value for kind in NetworkKind)}") from None


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """Settings of the connections with other nodes. Addresses are (host, port); port 0 is the network's own."""

    p2pool_endpoint: tuple[str, int] = setting(
        ("", 0),  # the network's own port is put in its place
        flag="--p2pool-port",
        metavar="[ADDR:]PORT",
        read=read_listen_endpoint,
        shown=Shown.COMPOSED,
        help="listen here for other nodes",
        default_text="all interfaces, "
        + ", ".join(f"{name} {network.p2p_port}" for name, network in NETWORKS.items()),
    )
    p2pool_nodes: tuple[tuple[str, int], ...] = setting(
        (),
        flag="--p2pool-node",
        short="-n",
        metavar="ADDR[:PORT]",
        read=read_node_address,
        collect=tuple,
        shown=Shown.VALUE,
        help="stay connected with this node",
    )
    bootstrap: tuple[tuple[str, int], ...] = setting(
        (),
        metavar="ADDR[:PORT]",
        read=read_node_address,
        collect=tuple,
        shown=Shown.VALUE,
        help=(
            "when too few nodes are connected, try this address, or all addresses of this host name, before the "
            "built-in ones; DATADIR/NET/bootstrap.txt can list more, one per line, and is read again each time"
        ),
    )
    max_conns: int = setting(
        40,
        metavar="N",
        limits=(0, 1000),
        shown=Shown.VALUE,
        help="maximum number of incoming connections from other nodes",
    )
    outgoing_conns: int = setting(
        6,
        metavar="N",
        limits=(0, 100),
        shown=Shown.VALUE,
        help="number of outgoing connections to other nodes; 0: connect only to those of --p2pool-node",
    )
    external_ip: tuple[str, int] | None = setting(
        None,
        metavar="ADDR[:PORT]",
        read=read_node_address,
        shown=Shown.VALUE,
        help="tell other nodes to connect to this one at this address",
        default_text="the address that they see",
    )
    peer_patience: float = setting(
        60.0,
        metavar="SECONDS",
        limits=(0, 3600),
        unit="seconds",
        shown=Shown.VALUE,
        help="when the last connection to another node ends, let miners keep their work for this time while the "
        "node reconnects, and then disconnect them",
    )
    connect_only: bool = switch(
        help="connect only to the nodes of --p2pool-node: look for no others, and dial none that others name; "
        "incoming connections are accepted as usual (--max-conns)"
    )
    disable_upnp: bool = switch(
        help="do not ask the router to forward the port for other nodes (PCP, NAT-PMP, UPnP)"
    )
    disable_advertise: bool = switch(help="do not tell other nodes that they can connect to this one")
    proxy: Proxy | None = setting(
        None,
        metavar="URL",
        read=read_proxy,
        secret=Secret("P2POOL_PROXY_URL"),
        shown=Shown.COMPOSED,
        help="connect through this SOCKS5 proxy, such as Tor's: socks5://[USER:PASSWORD@]HOST[:PORT]. Other "
        "nodes, nodes of the Dash network, webhooks and mail are reached only through it, and it resolves all "
        "names; the port for other nodes is then open to this machine only, unless --p2pool-port is given",
        default_text="none: connect directly",
    )
    onlynet: frozenset[NetworkKind] = setting(
        frozenset(),
        metavar="NETWORK",
        read=_read_network,
        collect=frozenset,
        shown=Shown.VALUE,
        help="look for other nodes and nodes of the Dash network only in this network: "
        + ", ".join(kind.value for kind in NetworkKind)
        + "; nodes of --p2pool-node are dialled in any network",
        default_text="all",
    )

    @property
    def wanted_outgoing(self) -> int:
        """Return how many outgoing connections the node looks for itself."""
        return 0 if self.connect_only else self.outgoing_conns

    @property
    def kinds(self) -> frozenset[NetworkKind]:
        """Return the networks in which the node looks for others."""
        return self.onlynet or EVERY_KIND
