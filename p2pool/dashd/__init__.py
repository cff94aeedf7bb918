"""Dash Core as we see it: credentials, JSON-RPC, block templates, block submission, notifications of new
blocks."""
