"""Requests of miners at a node of simnet, and the keys that they sign with."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import coincurve

from p2pool.alerts.mail import MailServer
from p2pool.alerts.miners.proof import NodeKey
from p2pool.alerts.miners.settings import MinerAlertSettings, MinerChannel
from p2pool.alerts.miners.subscribing import Problem, RequestRefused, Subscribing
from p2pool.alerts.miners.subscriptions import Subscriptions
from p2pool.dash.address import encode_address
from p2pool.dash.hashes import hash160
from p2pool.dash.signed_message import message_digest
from p2pool.networks import SIMNET

VERSIONS = SIMNET.parent.addresses
SECRET = "correct horse battery"
SETTINGS = MinerAlertSettings(
    channels=frozenset(MinerChannel),
    page="https://pool.example.org/",
    hosts=frozenset({("10.0.0.5", 8080)}),
    mail=MailServer("mail.example.org", 25, "p2pool@example.org"),
    telegram="123456:ABC",
)


class Owner:
    """The owner of an address."""

    def __init__(self, number: int = 1, compressed: bool = True) -> None:
        self._key = coincurve.PrivateKey(number.to_bytes(32, "big"))
        self._compressed = compressed
        self.address = encode_address(
            VERSIONS.pubkey_hash, hash160(self._key.public_key.format(compressed=compressed))
        )

    def sign(self, message: str) -> str:
        """As `signmessage` of Dash Core does."""
        signed = self._key.sign_recoverable(message_digest(message.encode()), hasher=None)
        return base64.b64encode(bytes([27 + signed[64] + 4 * self._compressed]) + signed[:64]).decode()


class Desk:
    """What takes requests. `secrets` are those of connected miners by address."""

    def __init__(self, settings: MinerAlertSettings = SETTINGS, with_secrets: bool = True) -> None:
        self.now = 1_000_000.0
        self.table = Subscriptions()
        self.secrets: dict[str, str] = {Owner().address: SECRET}
        numbers = itertools.count(1)
        self.requests = Subscribing(
            settings,
            self.table,
            key=NodeKey(b"k" * 32, settings.host),
            versions=VERSIONS,
            network="simnet",
            new_id=lambda: f"{next(numbers):016x}",
            has_secret=(lambda address, secret: self.secrets.get(address) == secret) if with_secrets else None,
        )

    def given(self, **changes: Any) -> dict[str, Any]:
        """A request with a right secret."""
        return {
            "address": Owner().address,
            "channel": "webhook",
            "destination": "https://hooks.example.org/x",
            "proof": "secret",
            "secret": SECRET,
        } | changes

    def signed(self, owner: Owner, **changes: Any) -> dict[str, Any]:
        """A request with a right signature, made now."""
        given = self.given(address=owner.address, proof="signature", **changes)
        message = self.requests.challenge(given, "192.0.2.77", self.now)["message"]
        return given | {"message": message, "signature": owner.sign(message)}

    def ask(self, client: str = "192.0.2.1", **changes: Any) -> Any:
        """Subscribe with a right secret."""
        return self.requests.subscribe(self.given(**changes), client, self.now)

    def problem(self, given: dict[str, Any], client: str = "192.0.2.1") -> tuple[Problem, str]:
        """Why a request is refused."""
        try:
            self.requests.subscribe(given, client, self.now)
        except RequestRefused as refused:
            return refused.problem, refused.text
        raise AssertionError("it was accepted")
