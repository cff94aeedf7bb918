"""Errors of peers that end their connections."""

from __future__ import annotations


class Drop(Exception):
    """End this connection; the text says why, for one log line."""


class QuietDrop(Drop):
    """End this connection for a reason that pages show, but that is not worth a log line."""


class OwnNode(QuietDrop):
    """The other end is this node itself."""


class Misbehaviour(Drop):
    """End this connection and ban its host."""
