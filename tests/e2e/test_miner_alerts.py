"""A miner sets alerts on somebody else's node: by a secret in its password and by a signature, to a webhook and to
ntfy; confirms them, is told what happens, and ends them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.alerts.miners.desk import SECRET, Owner
from tests.e2e.alert_servers import HookServer, hook_server
from tests.e2e.daemons import DashProcess, Miner, PoolNode
from tests.e2e.process import free_port, wait_for
from tests.e2e.stratum_client import Refused

pytestmark = pytest.mark.e2e


def post(node: PoolNode, path: str, **given: Any) -> Any:
    """The JSON of an answer."""
    url = f"http://127.0.0.1:{node.port}/api/v1/miner-alerts{path}"
    answer = requests.post(url, json=given, timeout=30)
    return answer.json() | ({} if answer.status_code == 200 else {"status": answer.status_code})


def texts(server: HookServer) -> list[str]:
    """What ntfy was told: it is posted JSON at its root."""
    return [f"{each.json['title']}\n{each.json['message']}" for each in server.to("")]


def mine_for(miner: Miner, seconds: float) -> None:
    """Submit what is found, whatever becomes of it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        miner.read_all()
        with suppress(Refused):
            miner.mine()


def link_token(text: str, purpose: str) -> str:
    (line,) = [each for each in text.splitlines() if f"#{purpose}=" in each]
    return line.partition(f"#{purpose}=")[2]


def test_a_miner_is_told_what_happens_until_it_ends_that(tmp_path):
    owner = Owner(9)
    about = {"address": owner.address}
    with hook_server() as server, DashProcess(tmp_path, "dash") as dash:
        dash.ready().rpc("simnet_findblock", 3)
        port = free_port()
        flags = ("--miner-alerts", "webhook,ntfy", "--alert-page", f"http://127.0.0.1:{port}/", "-f", "0")
        flags += ("--miner-alert-host", f"127.0.0.1:{server.port}", "--alert-threshold", "worker_down=3")
        hook = about | {"channel": "webhook", "destination": server.url("hook")}
        topic = about | {"channel": "ntfy", "destination": server.url("my-topic")}
        with PoolNode(tmp_path, [dash], *flags, port=port) as node:
            node.ready()
            wait_for("view", lambda: node.try_get("api/v1/alerts"))
            password = f"d=0.000004,alerts={SECRET}"
            with Miner(port) as miner:
                miner.login(f"{owner.address}.rig", password=password)
                # The secret.
                assert post(node, "", **hook, proof="secret", secret="not the secret")["status"] == 403
                taken = post(node, "", **hook, proof="secret", secret=SECRET, events=["silent"])
                assert taken == about | {"events": ["silent"], "confirmed": False}
                # The signature.
                message = post(node, "/challenge", **topic)["message"]
                assert f"p2pool-dash on 127.0.0.1:{port}: send alerts about {owner.address} to ntfy" in message
                signed = {"proof": "signature", "message": message, "signature": owner.sign(message)}
                assert post(node, "", **topic, **signed | {"signature": Owner(8).sign(message)})["status"] == 403
                assert post(node, "", **topic, **signed)["confirmed"] is False
                # The destinations, whose links a program opens before their reader presses the button.
                first = wait_for("webhook", lambda: server.to("hook"))[0].json
                assert first["event"] == "miner_confirm"
                assert requests.get(first["confirm"], timeout=30).status_code == 200
                ntfy = wait_for("ntfy", lambda: texts(server))[0]
                assert server.to("")[0].json["topic"] == "my-topic"
                wait_for("figures", lambda: node.get("api/v1/alerts")["miners"]["unconfirmed"] == 2)
                post(node, "/confirm", token=first["confirm"].partition("#confirm=")[2])
                post(node, "/confirm", token=link_token(ntfy, "confirm"))
                wait_for("figures", lambda: node.get("api/v1/alerts")["miners"]["subscriptions"] == 2)
                mine_for(miner, 12)
            # The rig is gone; it found blocks.
            told = wait_for("alert", lambda: server.to("hook")[1:])[0].json
            assert [each["event"] for each in told["events"]] == ["worker_silent"]
            assert "worker rig has submitted nothing for" in told["body"]
            wait_for("payout", lambda: [each for each in texts(server) if "pays you" in each])
            # Ended for the webhook: ntfy is told that it is back.
            ended = post(node, "/unsubscribe", token=told["unsubscribe"].partition("#unsubscribe=")[2])
            assert ended == about | {"channel": "webhook", "events": ["silent"]}
            with Miner(port) as miner:
                miner.login(f"{owner.address}.rig", password=password)
                mine_for(miner, 3)
                wait_for("return", lambda: [each for each in texts(server) if "worker rig is back" in each])
            assert len(server.to("hook")) == 2
            assert post(node, "/unsubscribe", token=first["confirm"].partition("=")[2])["status"] == 404
            figures = node.get("api/v1/alerts")["miners"]
            assert (figures["subscriptions"], figures["failed"]) == (1, 0)
            public = requests.get(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=30).text
            for hidden in (SECRET, "my-topic", owner.address):
                assert hidden not in public
            assert SECRET not in node.output
            assert "my-topic" not in node.output
            assert node.interrupt() < 15
