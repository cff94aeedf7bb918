"""The URL of the broker, and the files that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given
from p2pool.broker.connection import check_files
from p2pool.broker.settings import BrokerAddress, read_broker_address
from tests.e2e.alert_servers import make_certificate


def address(text: str) -> BrokerAddress:
    return read_broker_address(Given("--broker", text))


def refusal(text: str) -> str:
    with pytest.raises(OperatorError) as error:
        address(text)
    assert "hunter2" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://h", BrokerAddress(hosts=(("h", 6379),))),
        ("redis://h:7/3", BrokerAddress(hosts=(("h", 7),), database=3)),
        ("redis://[::1]:7", BrokerAddress(hosts=(("::1", 7),))),
        ("redis://:p%2Fw@h", BrokerAddress(hosts=(("h", 6379),), password="p/w")),
        ("redis://pw@h", BrokerAddress(hosts=(("h", 6379),), password="pw")),
        ("redis://me:a@b@h", BrokerAddress(hosts=(("h", 6379),), user="me", password="a@b")),
        (
            "rediss://h?ca=/c.pem&cert=/d.pem&key=/k.pem",
            BrokerAddress(
                hosts=(("h", 6379),), tls=True, ca_file="/c.pem", certificate_file="/d.pem", key_file="/k.pem"
            ),
        ),
        (
            "rediss+sentinel://:pw@a,b:7,[::1]/pool?ca=/c.pem",
            BrokerAddress(
                hosts=(("a", 26379), ("b", 7), ("::1", 26379)),
                master="pool",
                tls=True,
                ca_file="/c.pem",
                password="pw",
            ),
        ),
    ],
)
def test_a_url_says_where_redis_is(text, expected):
    assert address(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("h:6379", "this is not a URL of Redis"),
        ("http://:hunter2@h", "this is not a URL of Redis"),
        ("redis://:hunter2@a,b", "several hosts are for redis+sentinel://"),
        ("redis+sentinel://:hunter2@a,b", "the name of the master is missing"),
        ("redis://:hunter2/x@h", "there is no host (in a password write %2F for /, %3F for ?, %23 for #)"),
        ("redis://:hunter2#x@h", "there is no host (in a password write %2F for /, %3F for ?, %23 for #)"),
        ("redis://:hunter2@h/x", "the database is not a number"),
        ("rediss://:hunter2@h?ssl=1", "the options are ?ca=FILE&cert=FILE&key=FILE"),
        ("redis://:hunter2@h?ca=/c.pem", "files of certificates are for TLS: rediss://"),
        ("rediss://:hunter2@h?cert=/c.pem", "cert=FILE and key=FILE belong together"),
        ("rediss://:hunter2@h?key=/k.pem", "cert=FILE and key=FILE belong together"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(text, why):
    assert f": {why}; give redis://" in refusal(text)


def test_files_of_certificates_are_checked_at_the_start(tmp_path: Path):
    certificate, key = make_certificate(tmp_path)
    check_files(address(f"rediss://h?ca={certificate}&cert={certificate}&key={key}"))
    check_files(address("rediss://h"))
    check_files(address("redis://h"))


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, content: bytes | None):
    certificate, key = make_certificate(tmp_path)
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    for url, shown in (
        (f"rediss://:hunter2@h?ca={bad}", f"?ca={bad}"),
        (f"rediss://:hunter2@h?cert={bad}&key={key}", f"?cert={bad}&key={key}"),
        (f"rediss://:hunter2@h?cert={certificate}&key={bad}", f"?cert={certificate}&key={bad}"),
    ):
        with pytest.raises(OperatorError) as error:
            check_files(address(url))
        assert str(error.value).startswith(f"--broker: {shown}: ")
        assert "hunter2" not in str(error.value)
