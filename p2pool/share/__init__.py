"""Shares of the chain: bytes <-> value, generating the next one and checking a received one.

Pure: the chain is seen through the small port `ChainView`, which `sharechain` implements. Everything here is
consensus (share version 16); the rules are described in docs/protocol/share.md and docs/protocol/share-chain.md.

- `share`: a share, the chain it is in and the version it is of; `parsing`: bytes -> share
- `versions`: the share versions that are known; `codec_16`: how shares of type 16 are read and packed
- `generation`: what the next share is made of; `check`: a share against the chain below it
- `rules`: retarget, timestamps, references; `parent_context`: what they come to for the next share
- `payouts`: outputs of a generation transaction; `payments`: those that the parent chain prescribes;
  `weights`: those of the PPLNS window, and `payout_order` their order; `donation`: the key that no share of this
  node pays
- `votes`: votes for share versions; `errors`: why a share is refused
"""
