"""Dash primitives: hashes, proof of work, addresses, scripts, targets, merkle trees, transactions, blocks."""
