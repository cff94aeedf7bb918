"""Webhooks and alerts of a real node to real servers: those that answer, fail, hang, drip, redirect, and send
far too much; and a node that is killed between a failure and the next attempt."""

from __future__ import annotations

import email
import hashlib
import hmac
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import requests

from p2pool.alerts import mail
from p2pool.alerts.apprise_channel import notify
from p2pool.alerts.channel import DeliveryOutcome, OutboxEntry
from p2pool.alerts.mail import MailServer, compose_mail, send
from tests.e2e.alert_servers import HUGE, hook_server, mail_server, make_certificate, rude_server, seconds_of
from tests.e2e.daemons import DashProcess, PoolNode
from tests.e2e.process import NodeProcess, free_port, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning"),  # of the mail server that a test is about
]

KEY = "0123456789abcdef-key"
SECRET = "a secret of the operator's"


class QuietNode(NodeProcess):
    """A node without CPU miners: a block that these are lucky with would be told in between."""

    def __init__(self, directory: Path, *arguments: str, **more: Any) -> None:
        super().__init__(directory, "--simnet-miners", "0", *arguments, **more)


def webhooks(server: Any, *paths: str) -> list[str]:
    return [part for path in paths for part in ("--webhook", server.url(path))]


def press(node: NodeProcess, destination: str = "all") -> dict[str, Any]:
    """The test button: results by destination."""
    answer = requests.post(
        f"http://127.0.0.1:{node.port}/api/v1/admin/alert-test",
        json={"destination": destination},
        headers={"X-API-Key": KEY},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return {each["destination"]: each for each in answer.json()["results"]}


def verified(post: Any) -> bool:
    """As docs/alerts.md tells receivers to."""
    expected = "sha256=" + hmac.new(SECRET.encode(), post.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, post.headers["x-p2pool-signature"])


# --- webhooks ----------------------------------------------------------------------------------------------------

EXPECTED = {
    "ok?token=ABCD1234": (True, 200, "thanks for"),
    "500": (False, 500, "HTTP 500: as you wish"),
    "404": (False, 404, "HTTP 404"),
    "303": (False, 303, "HTTP 303"),
    "to-loopback": (False, None, "127.0.0.1), which is not globally reachable: refused"),
    "to-link-local": (False, None, "169.254.169.254), which is not globally reachable"),
    "to-name": (False, None, "redirected to localhost ("),
    "to-mapped": (False, None, "which is not globally reachable"),
    "to-decimal": (False, None, "which is not globally reachable"),
    "relative": (False, None, "which is not globally reachable"),
    "to-ftp": (False, 302, "it must begin with http"),
    "hang": (False, None, "no answer within 15 s"),
    "endless-headers": (False, None, "the connection failed"),
    "drip-headers": (False, None, "no answer within 15 s"),
    "drip-body": (True, 200, "slowly"),
    "huge": (True, 200, "xxxx"),
}


def test_whatever_a_server_does_the_button_tells_it_and_the_node_goes_on(tmp_path):
    with hook_server() as server:
        flags = [*webhooks(server, *EXPECTED), "--webhook-events", "node_up"]
        with QuietNode(tmp_path, "--api-key", KEY, "--webhook-secret", SECRET, *flags) as node:
            wait_for("view", lambda: node.try_get("api/v1/alerts"))
            results, took = seconds_of(lambda: press(node))
            assert 14 < took < 25
            assert len(results) == len(EXPECTED)
            for (path, (delivered, status, words)), result in zip(EXPECTED.items(), results.values(), strict=True):
                assert (result["delivered"], result["status"]) == (delivered, status), (path, result)
                assert words in result["answer"], (path, result)
                assert "ABCD1234" not in result["answer"]
                assert len(result["answer"]) <= 500
            assert server.to("secret") == []
            assert server.sent["huge"] < HUGE
            assert all(verified(post) for post in server.posts)
            ok = [post for post in server.posts if post.path.startswith("/ok") and post.json["event"] == "test"]
            assert ok[0].headers["x-p2pool-delivery"] == ok[0].json["delivery"]
            assert abs(ok[0].json["sent"] - time.time()) < 60
            # Pages and the log: hosts, never a URL, and figures of what became of the start's event.
            view = node.get("api/v1/alerts")
            by_path = dict(zip(EXPECTED, view["destinations"], strict=True))
            assert by_path["ok?token=ABCD1234"]["delivered"] == 1
            assert by_path["404"]["lost"] == 1
            assert by_path["500"]["waiting"] == 1
            assert by_path["500"]["last_failure"]["reason"] == "HTTP 500: as you wish"
            public = requests.get(f"http://127.0.0.1:{node.port}/api/v1/alerts", timeout=10).text
            for secret in ("ABCD1234", SECRET, "drip-body"):
                assert secret not in public + node.output
            assert node.interrupt() < 15


def test_where_it_is_allowed_redirects_are_followed_a_few_times_and_without_the_login(tmp_path):
    with hook_server() as server:
        flags = ["--webhook", server.url("relative", "me:password@"), *webhooks(server, "loop", "to-name")]
        flags += ["--webhook-allow-private", "--api-key", KEY, "--webhook-secret", SECRET]
        with QuietNode(tmp_path, *flags) as node:
            wait_for("view", lambda: node.try_get("api/v1/alerts"))
            relative, loop, name = press(node).values()
            assert relative["delivered"]
            assert (loop["delivered"], loop["answer"]) == (False, "more than 3 redirects")
            assert name["delivered"]
            (first,) = [post for post in server.to("relative") if post.json["event"] == "test"]
            (second,) = [post for post in server.to("ok") if post.json["event"] == "test"]
            assert first.headers["authorization"].startswith("Basic ")
            assert "authorization" not in second.headers
            assert first.body == second.body
            assert verified(second)


def block_posts(server: Any, block_hash: str) -> list[dict[str, Any]]:
    """What the block webhook was told of one block."""
    return [post.json for post in server.to("block") if post.json["block_hash"] == block_hash]


def test_a_block_is_reported_with_what_the_chain_knows_of_it(tmp_path):
    """The miner's next share is a block, however busy the machine is: CPU miners need luck."""
    with hook_server() as server, DashProcess(tmp_path, "dash") as dash:
        dash.ready().rpc("simnet_findblock", 3)
        hook = ("--block-webhook", server.url("block"))
        with PoolNode(tmp_path, [dash], *hook) as node, node.ready().miner() as miner:
            began = time.time()
            assert miner.mine() is True
            wait_for("block", lambda: server.to("block"))
            told = server.to("block")[0].json
            known = wait_for("view", lambda: node.get("api/v1/blocks")["blocks"])[-1]
            assert told["event"] == "block_found"
            assert (told["block_hash"], told["block_height"]) == (known["hash"], known["height"])
            assert told["value_duffs"] == known["value"]["duffs"]
            assert told["value"] == pytest.approx(told["value_duffs"] / 1e8)
            assert began - 2 < told["timestamp"] < time.time() + 1
            assert isinstance(told["timestamp"], int)
            assert set(server.events("block")) == {"block_found"}
            assert "x-p2pool-signature" not in server.to("block")[0].headers
            # Killed within a second of the next one: nothing but its files is left of that.
            first = told["block_hash"]
            miner.wait_for_job_on(first)
            dash.kill()
            assert miner.mine() is True
            second = wait_for("post", lambda: [post for post in server.to("block") if first not in str(post.body)])
            node.process.kill()
            node.process.wait()
        told = second[0].json
        with DashProcess(tmp_path, "dash", like=dash) as again, PoolNode(tmp_path, [again], *hook) as node:
            wait_for("verdict", lambda: node.try_get("recent_blocks") and node.block(told["block_hash"]))
            wait_for("chain", lambda: node.block(told["block_hash"])["detailed_status"] == "accepted")
            shown = node.block(told["block_hash"])
            assert (shown["miner"], shown["share"]) == (told["worker"], told["share_hash"])
            assert (int(shown["ts"]), shown["value"]) == (told["timestamp"], pytest.approx(told["value"]))
            assert shown["value"] > 1
            assert len(block_posts(server, first)) == 1
            repeated = block_posts(server, told["block_hash"])
            unchanged = {name: each for name, each in told.items() if name != "sent"}
            assert all(unchanged.items() <= each.items() for each in repeated)  # its delivery's id as well


def first_destination(node: NodeProcess) -> dict[str, Any]:
    view = node.try_get("api/v1/alerts")
    return view["destinations"][0] if view else {"last_failure": None, "delivered": 0}


def attempts_on_disk(directory: Path) -> int:
    """Attempts that the file of deliveries tells of."""
    with closing(sqlite3.connect(f"file:{directory}/data/simnet/alerts.sqlite?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT coalesce(sum(attempts), 0) FROM deliveries").fetchone()[0])


def test_what_could_not_be_delivered_is_delivered_after_a_kill(tmp_path):
    with hook_server() as server:
        flags = [*webhooks(server, "flaky", "hang"), "--webhook-events", "node_up,node_down"]
        flags += ["--webhook-secret", SECRET]
        with QuietNode(tmp_path, *flags) as node:
            wait_for("failure", lambda: first_destination(node)["last_failure"])
            wait_for("its note on disk", lambda: attempts_on_disk(tmp_path))
            node.process.kill()
            node.process.wait()
        first = server.to("flaky")[0]
        assert first.json["event"] == "node_up"
        assert first.json["orderly"] is None
        server.posts.clear()
        server.flaky = False
        with QuietNode(tmp_path, *flags, log="again.log") as node:
            wait_for("delivery", lambda: first_destination(node)["delivered"] == 2)
            by_id = {post.json["delivery"]: post for post in server.to("flaky")}
            old = by_id.pop(first.json["delivery"])
            (new,) = by_id.values()
            assert old.json["sent"] > first.json["sent"]
            assert old.json["timestamp"] == first.json["timestamp"]
            assert new.json["orderly"] is False
            assert all(verified(post) for post in server.to("flaky"))
            assert node.interrupt() < 15  # though one destination hangs
        assert server.events("flaky")[-1] == "node_down"
        server.posts.clear()
        with QuietNode(tmp_path, *flags, log="third.log"):
            (again, *_) = wait_for("start", lambda: server.to("flaky"))
            assert again.json["orderly"] is True


def test_who_asks_for_a_test_without_a_destination_is_told_which_there_are(tmp_path):
    with QuietNode(tmp_path, "--api-key", KEY, "--webhook", "http://127.0.0.1:9/") as node:
        wait_for("view", lambda: node.try_get("api/v1/alerts"))
        url = f"http://127.0.0.1:{node.port}/api/v1/admin/alert-test"
        answer = requests.post(url, json={"destination": "x"}, headers={"X-API-Key": KEY}, timeout=10)
        assert answer.status_code == 400
        assert "known ids: webhook-127.0.0.1" in answer.json()["error"]["message"]
        assert requests.post(url, json={"destination": "all"}, timeout=10).status_code == 401
        (result,) = press(node).values()
        assert "the connection failed" in result["answer"]


# --- mail --------------------------------------------------------------------------------------------------------


def message(server: MailServer, to: str = "me@example.org") -> Any:
    hostile = "worker yA.\r\nBcc: x@example.org is down"
    return compose_mail(server, to, OutboxEntry("5f", "d", {"subject": hostile, "body": "Größe\n.\nend"}, 1e9))


def settings(port: int, **changes: Any) -> MailServer:
    return MailServer("127.0.0.1", port, "p2pool@example.org", **changes)


@pytest.mark.parametrize("from_first_byte", [False, True])
def test_mail_through_tls_with_a_login(tmp_path, from_first_byte):
    tls = make_certificate(tmp_path)
    with mail_server(tls, ("me", "right"), from_first_byte) as (mailbox, port):
        server = settings(port, encrypted=from_first_byte, user="me", password="right", authorities=tls[0])
        answer = send(server, "me@example.org", message(server))
        assert answer.delivered, answer
        (envelope,) = mailbox.envelopes
        assert mailbox.encrypted == [True]
        assert (envelope.mail_from, envelope.rcpt_tos) == ("p2pool@example.org", ["me@example.org"])
        parsed = email.message_from_bytes(envelope.original_content or b"", policy=default)
        assert parsed["Subject"] == "worker yA.??Bcc: x@example.org is down"
        assert parsed["Bcc"] is None
        assert parsed["Message-ID"] == "<5f@example.org>"
        assert parsed.get_content().splitlines() == ["Größe", ".", "end"]
        wrong = settings(port, encrypted=from_first_byte, user="me", password="wrong", authorities=tls[0])
        answer = send(wrong, "me@example.org", message(wrong))
        assert (answer.delivered, answer.status, answer.outcome is DeliveryOutcome.RETRY) == (False, 535, False)
        unknown = settings(port, encrypted=from_first_byte, user="me", password="right")
        answer = send(unknown, "me@example.org", message(unknown))
        assert not answer.delivered
        assert "the certificate of 127.0.0.1 cannot be trusted" in answer.text
        assert len(mailbox.envelopes) == 1


def test_a_login_is_never_sent_in_the_open():
    with mail_server(login=("me", "right")) as (mailbox, port):
        server = settings(port, user="me", password="right")
        answer = send(server, "me@example.org", message(server))
        assert "a login is never sent unencrypted" in answer.text
        assert answer.outcome is DeliveryOutcome.REJECTED
        assert mailbox.envelopes == []


def test_without_a_login_it_is_encrypted_where_that_is_offered(tmp_path):
    for tls in (None, make_certificate(tmp_path)):
        with mail_server(tls) as (mailbox, port):
            server = settings(port)
            assert send(server, "me@example.org", message(server)).delivered
            assert mailbox.encrypted == [tls is not None]
            answer = send(server, "nobody@example.org", message(server))
            assert (answer.delivered, answer.status, answer.outcome is DeliveryOutcome.RETRY) == (
                False,
                550,
                False,
            )
            assert answer.text.endswith("<...> from <...>: there is nobody of that name")
            answer = send(server, "later@example.org", message(server))
            assert (answer.status, answer.outcome is DeliveryOutcome.RETRY) == (450, True)


@pytest.mark.parametrize(
    ("greeting", "pause", "words"),
    [
        (b"", 0.2, ""),
        (b"2", 0.2, ""),
        (b"220-hello\r\n", 0.2, ""),
        (b"220-" + b"x" * 4000 + b"\r\n", 0.0, "reply is too long"),
    ],
)
def test_a_mail_server_that_never_comes_to_the_point(monkeypatch, greeting, pause, words):
    monkeypatch.setattr(mail, "TOTAL_TIME", 2.0)
    with rude_server(greeting, pause) as port:
        server = settings(port)
        answer, took = seconds_of(lambda: send(server, "me@example.org", message(server)))
        assert took < 6
        assert not answer.delivered
        assert answer.outcome is DeliveryOutcome.RETRY
        assert words in answer.text


def test_a_mail_server_that_is_reached_too_late(monkeypatch):
    monkeypatch.setattr(mail, "TOTAL_TIME", 0.3)
    connect = socket.create_connection

    def late(*arguments: Any) -> socket.socket:
        time.sleep(0.6)  # a resolver that thinks, an address that does not answer
        return connect(*arguments)

    monkeypatch.setattr(socket, "create_connection", late)
    with rude_server(b"220-hello\r\n") as port:
        server = settings(port)
        answer, took = seconds_of(lambda: send(server, "me@example.org", message(server)))
    assert took < 5
    assert (answer.delivered, answer.outcome is DeliveryOutcome.RETRY) == (False, True)
    assert "could not be reached within" in answer.text


def test_a_mail_server_that_is_not_there():
    server = settings(9)
    answer = send(server, "me@example.org", message(server))
    assert (answer.delivered, answer.outcome is DeliveryOutcome.RETRY) == (False, True)
    assert "127.0.0.1:9" in answer.text


# --- people ------------------------------------------------------------------------------------------------------


def test_people_are_notified_by_mail_and_by_apprise(tmp_path):
    tls = make_certificate(tmp_path)
    password = tmp_path / "password"
    password.write_text("right\n")
    with hook_server() as hook, mail_server(tls, ("me", "right")) as (mailbox, port):
        flags = ["--alert-email", "me@example.org", "--alert-smtp-server", f"127.0.0.1:{port}"]
        flags += ["--alert-smtp-user", "me", "--alert-smtp-password-file", str(password)]
        flags += ["--alert-smtp-ca", str(tls[0]), "--alert-from", "p2pool@example.org", "--alert-node", "hall 1"]
        flags += ["--alert-url", f"json://127.0.0.1:{hook.port}/T0K3NT0K3N", "--api-key", KEY]
        with QuietNode(tmp_path, *flags) as node:
            wait_for("mail", lambda: mailbox.envelopes)
            wait_for("apprise", lambda: hook.posts)
            parsed = email.message_from_bytes(mailbox.envelopes[0].original_content or b"", policy=default)
            assert parsed["Subject"] == "[p2pool hall 1] the node started"
            assert "for the first time" in parsed.get_content()
            assert f"http://127.0.0.1:{node.port}/" in parsed.get_content()
            assert hook.posts[0].json["title"] == "[p2pool hall 1] the node started"
            results = press(node)
            assert {each["delivered"] for each in results.values()} == {True}
            assert list(results) == ["email-example.org", "service-json"]
            metrics = f"http://127.0.0.1:{node.port}/metrics"
            counted = "p2pool_alerts_sent_total 2.0"
            wait_for("the count", lambda: counted in requests.get(metrics, timeout=10).text)  # once a second
            node.interrupt()
            for secret in ("right", "T0K3N", "me@example.org"):
                assert secret not in node.output
        assert hook.posts[-1].json["title"] == "[p2pool hall 1] the node is stopping"
        subjects = [
            email.message_from_bytes(each.original_content or b"", policy=default)["Subject"]
            for each in mailbox.envelopes
        ]
        assert subjects[-1] == "[p2pool hall 1] the node is stopping"


def test_what_apprise_says_is_reported_without_the_token():
    with hook_server() as hook:
        url = f"json://me:PASSW0RD@127.0.0.1:{hook.port}/500"
        answer = notify(url, "subject", "body")
        assert (answer.delivered, answer.outcome is DeliveryOutcome.RETRY) == (False, True)
        assert answer.text
        assert "PASSW0RD" not in answer.text
        assert notify(f"json://127.0.0.1:{hook.port}/ok", "subject", "body").delivered
    assert notify("nothing://", "subject", "body").outcome is DeliveryOutcome.REJECTED


def test_the_reason_of_a_failed_delivery_by_apprise_is_kept(tmp_path):
    with hook_server() as hook, mail_server(make_certificate(tmp_path), from_first_byte=True) as (_, tls_port):
        hidden = "T0K3NT0K3N"
        reasons = {
            f"json://127.0.0.1:{hook.port}/429?+token={hidden}": "error=429. Response Details: b'as you wish'",
            f"json://127.0.0.1:{free_port()}/{hidden}": "Connection refused",
            f"jsons://127.0.0.1:{tls_port}/{hidden}": "certificate verify failed",
        }
        with ThreadPoolExecutor() as threads:  # at once, as destinations are
            answers = list(threads.map(lambda url: notify(url, "subject", "body"), reasons))
    for answer, reason in zip(answers, reasons.values(), strict=True):
        assert (answer.delivered, answer.outcome is DeliveryOutcome.RETRY) == (False, True)
        assert reason in answer.text
        assert hidden not in answer.text
        assert sum(other in answer.text for other in reasons.values()) == 1, "no attempt has another's reason"
