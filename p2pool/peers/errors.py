"""Errors of peers that end their connections."""

from __future__ import annotations


class Drop(Exception):
    """End this connection; the text says why, for one log line (empty: not worth one)."""


class OwnNode(Drop):
    """The other end is this node itself."""


class Misbehaviour(Drop):
    """End this connection and ban its host."""
