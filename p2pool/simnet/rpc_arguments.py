"""Arguments of RPC calls -> values, with Dash Core's words for those that are wrong."""

from __future__ import annotations

import binascii

from p2pool.base.errors import ParseError
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.errors import BlockUndecodable
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.rpc import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, MISC_ERROR, MethodError


def block_bytes(text: str) -> bytes:
    """Return the bytes of a block in hex. Raises BlockUndecodable."""
    try:
        return binascii.unhexlify(text)  # unlike bytes.fromhex it takes no spaces
    except ValueError:
        raise BlockUndecodable("Block decode failed") from None


def hash_argument(text: str, name: str) -> int:
    """Return a hash in display order. Raises MethodError."""
    if len(text) != 64:
        raise MethodError(INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:200]}')")
    try:
        if not text.isalnum():
            raise ParseError("not hexadecimal")
        return int(text, 16)
    except ValueError:
        raise MethodError(INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')") from None


def whole_number(value: object, default: int) -> int:
    """Return an integer argument, `default` if it is left out. Raises MethodError."""
    if value is None:
        return default
    if not isinstance(value, int):
        raise MethodError(MISC_ERROR, "JSON integer out of range")
    return value


def find_block(chain: SimulatedChain, hash_: int) -> ChainBlock:
    """Return a known block. Raises MethodError."""
    block = chain.find(hash_)
    if block is None:
        raise MethodError(INVALID_ADDRESS_OR_KEY, "Block not found")
    return block
