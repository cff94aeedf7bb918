"""The lists of nodes that come with the package, one text file for each network that has one."""

from __future__ import annotations

from importlib import resources


def built_in_nodes(network_name: str) -> bytes:
    """Return the list for a network, as `peers.bootstrap.parse_node_list` takes it; empty if there is none.
    Blocks. Raises OSError."""
    file = resources.files("p2pool.networks") / "bootstrap_nodes" / f"{network_name}.txt"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
