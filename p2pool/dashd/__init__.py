"""Dash Core as we see it: credentials, JSON-RPC, block templates, block submission, notices of new blocks."""
