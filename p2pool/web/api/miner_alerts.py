"""What miners send to set alerts for their addresses, and what they are answered: POST /api/v1/miner-alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.alerts.miners.destination import MAX_DESTINATION
from p2pool.alerts.miners.proof import CHALLENGE_TIME
from p2pool.alerts.miners.settings import MinerChannel
from p2pool.alerts.miners.subscribing import MAX_MESSAGE, Problem, Proof
from p2pool.alerts.miners.subscriptions import MinerEventKind
from p2pool.web.api.endpoint import ErrorResponse
from p2pool.web.api.schema import TIME, Schema, array, boolean, record, text, with_optional, words

STATUSES: Final = {
    Problem.BAD_REQUEST: 400,
    Problem.BAD_PROOF: 403,
    Problem.UNKNOWN_LINK: 404,
    Problem.TOO_MANY: 429,
    Problem.FULL: 503,
    Problem.STARTING: 503,
}
NOT_OFFERED: Final = ErrorResponse(
    404, "not_offered", "this node sends no alerts to miners; its operator can allow it with --miner-alerts"
)
NOT_JSON: Final = ErrorResponse(415, "not_json", "send a JSON object with the content type application/json")
_WORDS: Final = {
    Problem.BAD_REQUEST: "a field is missing or cannot be used",
    Problem.BAD_PROOF: "the proof is wrong, or too old",
    Problem.UNKNOWN_LINK: "the link has expired, or the alerts have ended",
    Problem.TOO_MANY: "too many requests, wrong secrets or confirmations",
    Problem.FULL: "there are too many alerts for this address, destination or client, or in all",
    Problem.STARTING: "the node is starting",
}


@dataclass(frozen=True, slots=True)
class PostEndpoint:
    """A path that takes a JSON object by POST. `name` is what follows /api/v1/miner-alerts; `request` and `schema`
    describe what is sent and answered."""

    name: str
    summary: str
    request: Schema
    schema: Schema
    problems: tuple[Problem, ...]

    @property
    def path(self) -> str:
        """Return the whole path."""
        return f"/api/v1/miner-alerts/{self.name}".rstrip("/")

    @property
    def refusals(self) -> tuple[ErrorResponse, ...]:
        """Return the errors that it may answer."""
        problems = (ErrorResponse(STATUSES[each], each.value, _WORDS[each]) for each in self.problems)
        return (NOT_OFFERED, NOT_JSON, *problems)


_ADDRESS = text("a payout address (P2PKH) that mines on this node", maxLength=64)
_CHANNEL = words(
    *MinerChannel, description="how messages are sent; /api/v1/alerts lists those that the node offers"
)
_DESTINATION = text(
    "where messages are sent: the URL of the webhook or of the ntfy topic, the e-mail address, or the number of "
    "the Telegram chat",
    maxLength=MAX_DESTINATION,
)
_EVENTS = array(words(*MinerEventKind), "what to notify of")
_TOKEN = record("", token=text("what follows the = in the link of the message", maxLength=100))
_SHOWN = record(
    "",
    address=text("the address that the alerts are about"),
    channel=words(*MinerChannel, description="how messages are sent"),
    events=_EVENTS,
)
_OFTEN = (Problem.TOO_MANY, Problem.STARTING)
POSTS: Final = (
    PostEndpoint(
        "challenge",
        "Get the text that the owner of an address signs to set alerts, with `signmessage` of Dash Core or "
        "another wallet",
        record("", address=_ADDRESS, channel=_CHANNEL, destination=_DESTINATION),
        record(
            "",
            message=text("one line; sign it without changes"),
            expires={
                **TIME,
                "description": f"until when it is accepted ({CHALLENGE_TIME:.0f} s), in Unix seconds",
            },
        ),
        (Problem.BAD_REQUEST, *_OFTEN),
    ),
    PostEndpoint(
        "",
        "Set alerts for an address. The destination gets a message with a link that confirms it, and nothing else "
        "before that. Alerts that are confirmed already get the new events at once",
        with_optional(
            record(
                "",
                address=_ADDRESS,
                channel=_CHANNEL,
                destination=_DESTINATION,
                proof=words(*Proof, description="how the address is proven; /api/v1/alerts lists what is offered"),
            ),
            events={**_EVENTS, "description": "what to notify of; all if absent"},
            message=text("for a signature: the text of `challenge`", maxLength=MAX_MESSAGE),
            signature=text("for a signature: base64, as `signmessage` returns it", maxLength=200),
            secret=text(
                "for a secret: that of `alerts=SECRET` in the password of a miner that is connected now",
                maxLength=200,
            ),
        ),
        record(
            "",
            address=text("the address that the alerts are about"),
            events=_EVENTS,
            confirmed=boolean("whether the destination was confirmed before; if not, it was sent a link"),
        ),
        (Problem.BAD_REQUEST, Problem.BAD_PROOF, *_OFTEN, Problem.FULL),
    ),
    PostEndpoint(
        "confirm",
        "Confirm the destination: what the button behind the link of the first message does",
        _TOKEN,
        _SHOWN,
        (Problem.BAD_REQUEST, Problem.UNKNOWN_LINK, Problem.STARTING),
    ),
    PostEndpoint(
        "unsubscribe",
        "End alerts: what the button behind the link at the end of each message does",
        _TOKEN,
        _SHOWN,
        (Problem.BAD_REQUEST, Problem.UNKNOWN_LINK, Problem.STARTING),
    ),
)
"""Everything that is not read-only and needs no API key."""
