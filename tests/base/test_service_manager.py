"""What systemd is told."""

from __future__ import annotations

from p2pool.base.service_manager import notify_service_manager


def test_without_systemd_nothing_is_sent():
    assert not notify_service_manager("READY=1", {})
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": "relative"})


def test_a_socket_that_is_gone_does_not_matter(tmp_path):
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})
    assert not notify_service_manager("READY=1", {"NOTIFY_SOCKET": "@" + "x" * 200})
