"""The routers of the default routes, out of what the kernel writes."""

from __future__ import annotations

import sys
from ipaddress import ip_address

import pytest

from p2pool.net.routes import Gateway, default_gateways, parse_ipv6_route, parse_route

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
WIRE = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
AIR = "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
HALF = "tun0\t00000000\t0103A8C0\t0003\t0\t0\t50\t00000080\t0\t0\t0\n"
DOWN = "eth1\t00000000\t0104A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"
PPP = "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the kernel writes numbers of its own order")


@little_endian
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEAD + LAN + AIR + WIRE, ("192.168.1.1", "eth0")),
        (HEAD + AIR + HALF + DOWN, ("192.168.2.1", "wlan0")),
        (HEAD + PPP, None),
        (HEAD + LAN, None),
        (HEAD, None),
        ("", None),
        ("x\n\0 y\n" + HEAD + "eth0 zz zz zz 0 0 0 0 0\n" + WIRE, ("192.168.1.1", "eth0")),
    ],
)
def test_ipv4(text, found):
    assert parse_route(text) == (None if found is None else Gateway(ip_address(found[0]), found[1]))


ZERO = "0" * 32
ROUTER = "fe800000000000000000000000000001"


def six(destination=ZERO, length="00", gateway=ROUTER, metric="00000400", flags="00000003", name="eth0") -> str:
    return f"{destination} {length} {ZERO} 00 {gateway} {metric} 00000001 00000000 {flags} {name:>8}\n"


NO_ROUTE = six(gateway=ZERO, metric="ffffffff", flags="00200200", name="lo")
LOCAL = six("fe80" + "0" * 28, "40", ZERO, flags="00000001")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (NO_ROUTE + LOCAL + six(), ("fe80::1", "eth0")),
        (six() + six(gateway="2001" + "0" * 27 + "9", metric="00000064", name="wlan0"), ("2001::9", "wlan0")),
        (NO_ROUTE + LOCAL, None),
        (six(flags="00000203"), None),
        (six(length="01"), None),
        ("", None),
        ("nonsense\n" + six(), ("fe80::1", "eth0")),
    ],
)
def test_ipv6(text, found):
    assert parse_ipv6_route(text) == (None if found is None else Gateway(ip_address(found[0]), found[1]))


@little_endian
def test_both_files_or_none(tmp_path):
    assert default_gateways(tmp_path) == []
    (tmp_path / "route").write_text(HEAD + WIRE)
    assert [str(each.host) for each in default_gateways(tmp_path)] == ["192.168.1.1"]
    (tmp_path / "ipv6_route").write_bytes(b"\xff\xfe\n" + six().encode())
    assert [str(each.host) for each in default_gateways(tmp_path)] == ["192.168.1.1", "fe80::1"]
