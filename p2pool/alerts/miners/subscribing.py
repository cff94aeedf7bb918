"""Decides about the requests of miners: for a text to sign, for alerts, and those of the links in messages. Pure;
`service` does what follows from a decision. The web layer has the addresses (POST /api/v1/miner-alerts).

Whoever sets alerts for an address proves that it is theirs: by a signature of a text that this node made, or by a
secret that a miner of the address has in its stratum password while it is connected. Then the destination is asked
to confirm. So nobody can be sent more than a few messages that they did not ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from p2pool.alerts.miners.destination import DestinationError, MinerDestination, read_destination
from p2pool.alerts.miners.proof import CHALLENGE_TIME, Claim, LinkPurpose, NodeKey
from p2pool.alerts.miners.quota import Quota
from p2pool.alerts.miners.settings import MinerAlertSettings, MinerChannel
from p2pool.alerts.miners.subscriptions import (
    CONFIRM_TIME,
    MinerEventKind,
    Subscription,
    Subscriptions,
    TableFull,
)
from p2pool.dash.address import AddressError, AddressVersions, payout_hash160
from p2pool.dash.signed_message import SignatureError, can_verify, signer_of

REQUESTS: Final = 20
"""Requests of one client in an hour, for a text to sign or for alerts."""
WRONG_SECRETS: Final = 100
"""Wrong secrets for one address in an hour, of all clients: more are not compared. Signatures still are."""
CONFIRMATIONS: Final = 3
"""Messages to one destination in a day that ask to confirm."""
ALL_CONFIRMATIONS: Final = 120
"""Such messages of this node in an hour."""
HOUR, DAY = 3600.0, 86400.0
MAX_MESSAGE: Final = 1000


class Proof(StrEnum):
    """How an address is proven."""

    SIGNATURE = "signature"
    SECRET = "secret"


class Problem(StrEnum):
    """Why a request is refused, for programs."""

    BAD_REQUEST = "bad_request"
    BAD_PROOF = "bad_proof"
    TOO_MANY = "too_many_requests"
    FULL = "no_room"
    UNKNOWN_LINK = "unknown_link"
    STARTING = "starting"


class RequestRefused(Exception):
    """A request that is refused; the message is a sentence for people."""

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem
        self.text = text


@dataclass(frozen=True, slots=True)
class Accepted:
    """A subscription that a request made or changed. `asks` if its destination has to be asked to confirm."""

    subscription: Subscription
    asks: bool


class Subscribing:
    """What becomes of requests. `has_secret(address, secret)` is whether a connected miner of an address has this
    secret in its password, None if this node cannot know, because its miners are connected to gateways; `new_id`
    returns a new id of a subscription."""

    def __init__(
        self,
        settings: MinerAlertSettings,
        table: Subscriptions,
        *,
        key: NodeKey,
        versions: AddressVersions,
        network: str,
        new_id: Callable[[], str],
        has_secret: Callable[[str, str], bool] | None,
    ) -> None:
        self._settings = settings
        self._table = table
        self.key = key
        self._versions = versions
        self._network = network
        self._new_id = new_id
        self._has_secret = has_secret
        self._requests = Quota(REQUESTS, HOUR)
        self._wrong = Quota(WRONG_SECRETS, HOUR)
        self._asked = Quota(CONFIRMATIONS, DAY)
        self._asked_in_all = Quota(ALL_CONFIRMATIONS, HOUR)

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """Return the ways to prove an address that this node offers."""
        signature = (Proof.SIGNATURE,) if can_verify() else ()
        return signature if self._has_secret is None else (*signature, Proof.SECRET)

    # --- requests ----------------------------------------------------------------------------------------

    def challenge(self, given: Mapping[str, Any], site: str, now: float) -> dict[str, Any]:
        """Return the text to be signed. Raises RequestRefused, as all requests do."""
        self._count(site, now)
        if Proof.SIGNATURE not in self.proofs:
            raise RequestRefused(Problem.BAD_REQUEST, "this node cannot verify signatures; use a secret")
        claim = _claim(self._address(given)[0], self._destination(given))
        return {"message": self.key.challenge(claim, now), "expires": int(now + CHALLENGE_TIME)}

    def subscribe(self, given: Mapping[str, Any], site: str, now: float) -> Accepted:
        """Return the subscription that a proven request makes or changes; it is in the table from now on."""
        self._count(site, now)
        address, key_hash = self._address(given)
        destination, events = self._destination(given), _events(given)
        self._prove(given, _claim(address, destination), key_hash=key_hash, now=now)
        known = self._table.find(address, destination)
        if known is not None and known.confirmed is not None:
            changed = replace(known, events=events)
            self._table.put(changed)
            return Accepted(changed, asks=False)
        if not self._asked.has_room(destination.text, now):
            raise RequestRefused(
                Problem.TOO_MANY, "this destination was asked to confirm often enough; try again tomorrow"
            )
        if not self._asked_in_all.take("", now):
            raise RequestRefused(Problem.TOO_MANY, "too many miners set alerts just now; try again in an hour")
        self._asked.take(destination.text, now)
        if known is not None:
            changed = replace(known, events=events, created=now)
            self._table.put(changed)
            return Accepted(changed, asks=True)
        made = Subscription(
            id=self._new_id(),
            address=address,
            destination=destination,
            events=events,
            client=self.key.client(site),
            created=now,
            seen=now,
        )
        try:
            self._table.add(made)
        except TableFull as full:
            raise RequestRefused(Problem.FULL, str(full)) from None
        return Accepted(made, asks=True)

    def confirm(self, token: str, now: float) -> Subscription:
        """Confirm the subscription of a link; return it."""
        found = self._of_link(LinkPurpose.CONFIRM, token)
        if found.confirmed is not None:
            return found
        if not -CONFIRM_TIME < now - found.created < CONFIRM_TIME:
            raise _unknown_link()
        confirmed = replace(found, confirmed=now, seen=now)
        self._table.put(confirmed)
        return confirmed

    def unsubscribe(self, token: str) -> Subscription:
        """End the subscription of a link; return it."""
        found = self._of_link(LinkPurpose.UNSUBSCRIBE, token)
        self._table.remove(found.id)
        return found

    def _of_link(self, purpose: LinkPurpose, token: str) -> Subscription:
        name = self.key.read_token(purpose, token)
        found = None if name is None else self._table.get(name)
        if found is None:
            raise _unknown_link()
        return found

    # --- parts of requests -------------------------------------------------------------------------------

    def _count(self, site: str, now: float) -> None:
        if not self._requests.take(site, now):
            raise RequestRefused(Problem.TOO_MANY, "too many requests from your network; try again in an hour")

    def _address(self, given: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return (address, its key hash)."""
        address = _text(given, "address", 64).strip()
        try:
            return address, payout_hash160(address, self._versions, self._network)
        except AddressError as error:
            raise RequestRefused(Problem.BAD_REQUEST, f"the address cannot be used: {error}") from None

    def _destination(self, given: Mapping[str, Any]) -> MinerDestination:
        channel = given.get("channel")
        allowed = {each.value: each for each in MinerChannel if each in self._settings.channels}
        if not isinstance(channel, str) or channel not in allowed:
            raise RequestRefused(Problem.BAD_REQUEST, f"channel must be one of {', '.join(allowed)}")
        text = _text(given, "destination", 2000)
        try:
            return read_destination(allowed[channel], text, self._settings)
        except DestinationError as error:
            raise RequestRefused(Problem.BAD_REQUEST, str(error)) from None

    def _prove(self, given: Mapping[str, Any], claim: Claim, *, key_hash: bytes, now: float) -> None:
        """Raise RequestRefused unless the address is proven."""
        proof = given.get("proof")
        if proof not in self.proofs:
            raise RequestRefused(Problem.BAD_REQUEST, f"proof must be one of {', '.join(self.proofs)}")
        if proof == Proof.SIGNATURE:
            self._check_signature(given, claim, key_hash=key_hash, now=now)
        else:
            self._check_secret(given, claim.address, now)

    def _check_signature(self, given: Mapping[str, Any], claim: Claim, *, key_hash: bytes, now: float) -> None:
        message, signature = _text(given, "message", MAX_MESSAGE), _text(given, "signature", 200)
        if not self.key.is_challenge(message.strip(), claim, now):
            raise RequestRefused(
                Problem.BAD_PROOF,
                "the signed text is not one of this node for this address and destination, or it is older than "
                f"{CHALLENGE_TIME / 60:.0f} minutes; ask for a new one",
            )
        try:
            signer = signer_of(signature, message.strip())
        except SignatureError as error:
            raise RequestRefused(Problem.BAD_PROOF, f"this is not a signature of a message: {error}") from None
        if signer != key_hash:
            raise RequestRefused(
                Problem.BAD_PROOF,
                "the signature is not one of this address for this text; sign exactly the text, without changes",
            )

    def _check_secret(self, given: Mapping[str, Any], address: str, now: float) -> None:
        secret = _text(given, "secret", 200)
        if not self._wrong.has_room(address, now):
            raise RequestRefused(Problem.TOO_MANY, "too many wrong secrets for this address; try again in an hour")
        if self._has_secret is None or not self._has_secret(address, secret):
            self._wrong.take(address, now)
            raise RequestRefused(
                Problem.BAD_PROOF,
                "no miner of this address is connected with this secret in its password (alerts=SECRET)",
            )


def _unknown_link() -> RequestRefused:
    return RequestRefused(
        Problem.UNKNOWN_LINK, "this link is not valid: it has expired, or these alerts have ended"
    )


def _claim(address: str, destination: MinerDestination) -> Claim:
    return Claim(address, destination.channel.value, destination.text)


def _text(given: Mapping[str, Any], name: str, most: int) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise RequestRefused(Problem.BAD_REQUEST, f"{name} must be a text of 1 to {most} characters")
    return value


def _events(given: Mapping[str, Any]) -> frozenset[MinerEventKind]:
    """Return the events that are asked for; all if none are named."""
    names = given.get("events")
    if names is None:
        return frozenset(MinerEventKind)
    known = {each.value: each for each in MinerEventKind}
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(each, str) and each in known for each in names)
    ):
        raise RequestRefused(Problem.BAD_REQUEST, f"events must be a list of any of {', '.join(known)}")
    return frozenset(known[each] for each in names)
