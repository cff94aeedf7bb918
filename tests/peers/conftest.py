"""What tests of peers have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.service_world import World


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    world = World(tmp_path).start()
    yield world
    world.done(world.service.stop())
    world.reactor.advance(0)
    assert world.reactor.getDelayedCalls() == []
