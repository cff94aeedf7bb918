"""Targets, compact bits, difficulty and work: all the conversions, exact as the share chain needs them.

A target is the number that a hash must not exceed. `bits` is its compact form as an integer (mantissa in the low
24 bits, exponent in the high byte). See "Targets" in docs/protocol/types.md.
"""

from __future__ import annotations

from functools import lru_cache

MAX_UINT256 = 2**256 - 1
DIFFICULTY_1_TARGET = 0xFFFF << 208


# Bound: a share chain uses a handful of targets at a time; 4096 entries are about 1 MB.
@lru_cache(maxsize=4096)
def bits_to_target(bits: int) -> int:
    """Return the target of a compact form. It can exceed 256 bits, as an exponent says; callers compare."""
    mantissa, shift = bits & 0xFFFFFF, 8 * ((bits >> 24) - 3)
    return mantissa << shift if shift >= 0 else mantissa >> -shift


def is_compact_target(bits: int) -> bool:
    """Return whether a compact form stands for a target that some hashes meet: neither negative, nor 0, nor beyond
    256 bits."""
    return not bits & 0x800000 and 0 < bits_to_target(bits) <= MAX_UINT256


@lru_cache(maxsize=4096)
def target_to_bits(target: int) -> int:
    """Return the compact form of `target`, truncated, so that it never exceeds the target ("upper bound")."""
    data = target.to_bytes((target.bit_length() + 7) // 8, "big")
    if data and data[0] >= 0x80:
        data = b"\x00" + data
    mantissa = int.from_bytes((data + b"\x00\x00\x00")[:3], "big")
    return len(data) << 24 | mantissa


@lru_cache(maxsize=4096)
def target_to_average_attempts(target: int) -> int:
    """Return how many hashes it takes on average to meet `target`: a share's work."""
    return 2**256 // (target + 1)


def average_attempts_to_target(attempts: float) -> int:
    """Return the target that takes so many attempts on average, rounded; `attempts` is positive, integer or float
    (both in use, with different rounding)."""
    return _rounded(2**256 / attempts)


def target_to_difficulty(target: int) -> float:
    """Return the difficulty of a target. Difficulty 1 is 0xffff * 2**208 (plus a constant that the network's
    software has)."""
    return (0xFFFF0000 * 2**192 + 1) / (target + 1)


@lru_cache(maxsize=4096, typed=True)
def difficulty_to_target(difficulty: float) -> int:
    """Return the target of a difficulty, rounded; difficulty 0 is the easiest target."""
    if difficulty == 0:
        return MAX_UINT256
    return _rounded((0xFFFF0000 * 2**192 + 1) / difficulty)


def _rounded(limit: float) -> int:
    """Return the greatest target below `limit`, which may be infinite."""
    return MAX_UINT256 if limit >= 2**256 else min(int(limit - 1 + 0.5), MAX_UINT256)


def difficulty_to_average_attempts(difficulty: float) -> float:
    """Return the number of hashes that a pseudoshare of this difficulty stands for."""
    return difficulty * 4295032833.000015
