"""What a simulated daemon reports of itself; controls change it while it runs. Read by the RPC methods."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.simnet.parameters import VERSION


@dataclass(slots=True)
class NodeStatus:
    """The daemon's own state, apart from that of its chain."""

    version: int = VERSION
    """As getnetworkinfo reports it: 230102 is 23.1.2."""
    warnings: str = ""
    """What the daemon warns its operator of."""
    initial_download: bool = False
    """Whether it reports that it is still catching up with the network."""

    @property
    def release(self) -> str:
        """Return the version as people write it: 23.1.2."""
        return f"{self.version // 10_000}.{self.version // 100 % 100}.{self.version % 100}"

    @property
    def sub_version(self) -> str:
        """Return the name that is sent to peers."""
        return f"/Dash Core:{self.release}/"
