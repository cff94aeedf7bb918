"""RPC methods about the network, and about addresses."""

from __future__ import annotations

from p2pool.dash.address import AddressError, decode_address, encode_address
from p2pool.dash.script import p2pkh_script, p2sh_script
from p2pool.simnet.context import NodeContext
from p2pool.simnet.p2p import SERVICE_NAMES, SERVICES
from p2pool.simnet.render import Json
from p2pool.simnet.rpc import JsonKind, MethodParameter, Row

_PROTOCOL_VERSION = 70240
_UPLOAD_TIMEFRAME = 24 * 3600
_ZMQ_HIGH_WATER_MARK = 1000


class NetworkMethods:
    """Methods that show versions and connections."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._addresses = 0

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        rows: list[Row] = [
            (self.getnetworkinfo, ()),
            (self.getconnectioncount, ()),
            (self.getpeerinfo, ()),
            (self.getnettotals, ()),
            (self.getzmqnotifications, ()),
            (self.validateaddress, (MethodParameter("address", JsonKind.STRING, True),)),
        ]
        if self._context.wallet:
            rows.append((self.getnewaddress, (MethodParameter("label", JsonKind.STRING),)))
        return rows

    def getnetworkinfo(self) -> object:
        """Return versions and the number of connections."""
        peers, status = self._context.peers, self._context.status
        return {
            "version": status.version,
            "buildversion": f"v{status.release}",
            "subversion": status.sub_version,
            "protocolversion": _PROTOCOL_VERSION,
            "localservices": f"{SERVICES:016x}",
            "localservicesnames": list(SERVICE_NAMES),
            "localrelay": True,
            "timeoffset": self._context.time_offset,
            "networkactive": True,
            "connections": self._context.connection_count,
            "connections_in": peers.inbound_count(),
            "connections_out": peers.outbound_count(),
            "connections_mn": 0,
            "connections_mn_in": 0,
            "connections_mn_out": 0,
            "socketevents": "epoll",
            "networks": [_network(name) for name in ("ipv4", "ipv6", "onion", "i2p", "cjdns")],
            "relayfee": 1e-05,
            "incrementalfee": 1e-05,
            "localaddresses": [],
            "warnings": status.warnings,
        }

    def getconnectioncount(self) -> object:
        """Return how many peers are connected."""
        return self._context.connection_count

    def getpeerinfo(self) -> object:
        """Return the peers that are connected."""
        return self._context.peers.render()

    def getnettotals(self) -> object:
        """Bytes over all connections, and the time; nothing limits what is sent."""
        received, sent = self._context.peers.traffic()
        return {
            "totalbytesrecv": received,
            "totalbytessent": sent,
            "timemillis": int(self._context.clock.now() * 1000),
            "uploadtarget": {
                "timeframe": _UPLOAD_TIMEFRAME,
                "target": 0,
                "target_reached": False,
                "serve_historical_blocks": True,
                "bytes_left_in_cycle": 0,
                "time_left_in_cycle": 0,
            },
        }

    def getzmqnotifications(self) -> object:
        """Return what is published over ZMQ, and where."""
        address = self._context.zmq_address
        if address is None:
            return []
        return [{"type": "pubhashblock", "address": address, "hwm": _ZMQ_HIGH_WATER_MARK}]

    def validateaddress(self, address: str) -> object:
        """Return whether a text is an address of this network."""
        try:
            version, hash_bytes = decode_address(address)
        except AddressError:
            return {"isvalid": False, "error": "Invalid address format"}
        versions = self._context.chain.rules.addresses
        scripts = {versions.pubkey_hash: p2pkh_script, versions.script_hash: p2sh_script}
        if version not in scripts:
            return {"isvalid": False, "error": "Invalid prefix for Base58-encoded address"}
        return {
            "isvalid": True,
            "address": address,
            "scriptPubKey": scripts[version](hash_bytes).hex(),
            "isscript": version == versions.script_hash,
        }

    def getnewaddress(self, label: object) -> object:
        """Return the next address of a deterministic series; nobody has its keys."""
        self._addresses += 1
        rules = self._context.chain.rules
        return encode_address(rules.addresses.pubkey_hash, rules.derive(f"address/{self._addresses}")[:20])


def _network(name: str) -> Json:
    plain = name in ("ipv4", "ipv6")
    return {
        "name": name,
        "limited": not plain,
        "reachable": plain,
        "proxy": "",
        "proxy_randomize_credentials": False,
    }
