"""Dash primitives, without network or state.

`hashes` (SHA-256 and its midstate) and `sha256` (its implementations: in C in the folder _sha256, or
`sha256_hashlib`), `pow` (X11) and `x11_providers` (its implementations; the one in C is in the folder _x11),
`target` (targets, compact bits, difficulty, work), `merkle` trees; `transaction` and `block` with their codecs,
`script` and `address`; `long_base58` (the first bytes of a long address without decoding all of it),
`address_problem` (what is wrong with a text that should be an address); `signed_message` (messages signed with the
key of an address); `messages` of Dash's p2p protocol;
`auxpow` (merged mining).
"""
