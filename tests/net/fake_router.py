"""A router that forwards ports by PCP or NAT-PMP, without a socket: written from the RFCs, not with the code under
test."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

OUTSIDE = "203.0.113.5"


class FakeRouter:
    """Answers requests; `mappings` are those that it keeps: inside port -> outside port."""

    def __init__(self, *, pcp: bool = True, outside: str = OUTSIDE) -> None:
        self.pcp = pcp
        self.outside = outside
        self.mappings: dict[int, int] = {}
        self.nonces: dict[int, bytes] = {}
        self.result = 0
        """What it refuses mappings with."""
        self.shift = 0
        """Added to each port that is asked for: the port is taken."""
        self.lifetime = 3600
        self.started = 0.0
        self.asked: list[tuple[str, str]] = []
        """Protocol and what for."""

    def restart(self, now: float) -> None:
        self.mappings.clear()
        self.nonces.clear()
        self.started = now

    def answer(self, data: bytes, now: float) -> bytes:
        epoch = int(now - self.started)
        if data[0] == 2 and self.pcp:
            return self._pcp(data, epoch)
        if data[0] == 0 and not self.pcp:
            return self._nat_pmp(data, epoch)
        version = 2 if self.pcp else 0
        head = bytes((version, 128 | data[1])) + (b"\0\1" if version == 0 else b"\0\1" + bytes(4))
        return head + struct.pack(">I", epoch) + (bytes(12) if version == 2 else b"")

    def _pcp(self, data: bytes, epoch: int) -> bytes:
        _, operation, lifetime = struct.unpack(">BBxxI", data[:8])
        if operation == 0:
            assert len(data) == 24
            self.asked.append(("PCP", "announce"))
            return struct.pack(">BBBBII12x", 2, 128, 0, 0, 0, epoch)
        assert operation == 1
        assert len(data) == 60
        nonce, protocol, inside, outside = struct.unpack(">12sB3xHH", data[24:44])
        assert protocol == 6
        result = self.result
        if self.nonces.get(inside, nonce) != nonce:
            result = 2
        self.asked.append(("PCP", "map" if lifetime else "delete"))
        if not result and lifetime:
            self.mappings[inside], self.nonces[inside] = outside + self.shift, nonce
        elif not result:
            assert data[42:44] == bytes(2)
            self.mappings.pop(inside, None)
        address = IPv6Address(self.outside if ":" in self.outside else f"::ffff:{self.outside}").packed
        time = 0 if not lifetime else 30 if result else self.lifetime
        head = struct.pack(">BBBBII12x", 2, 129, 0, result, time, epoch)
        return head + struct.pack(">12sB3xHH", nonce, 6, inside, self.mappings.get(inside, 0)) + address

    def _nat_pmp(self, data: bytes, epoch: int) -> bytes:
        if data[1] == 0:
            assert len(data) == 2
            self.asked.append(("NAT-PMP", "address"))
            return struct.pack(">BBHI", 0, 128, 0, epoch) + bytes(map(int, self.outside.split(".")))
        assert data[1] == 2
        assert len(data) == 12
        inside, outside, lifetime = struct.unpack(">HHI", data[4:])
        self.asked.append(("NAT-PMP", "map" if lifetime else "delete"))
        if self.result:
            return struct.pack(">BBHI", 0, 130, self.result, epoch)
        if lifetime:
            self.mappings[inside] = outside + self.shift
        else:
            assert outside == 0
            self.mappings.pop(inside, None)
        granted = self.lifetime if lifetime else 0
        return struct.pack(">BBHIHHI", 0, 130, 0, epoch, inside, self.mappings.get(inside, 0), granted)
