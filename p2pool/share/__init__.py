"""Shares of the chain: bytes <-> value, generating the next one and checking a received one.

Pure: the chain is seen through the small port `ChainView`, which `sharechain` implements. Everything here is
consensus (share version 16); the source of every rule is the share-chain format that docs/architecture.md names.
"""
