"""The packed payments of a share: which outputs they mean.

What a payee's text means depends on nothing but the network's address versions. A share of megabytes is therefore
judged when it is parsed, in steps, and not when the chain below it is known. Called by `share` and `payouts`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache

from p2pool.base.errors import ParseError
from p2pool.dash.address import AddressVersions, payee_script, payee_script_steps
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.wire.codec import Reader, pack_uint64, pack_varstr

MIN_PAYMENT = 9
"""Bytes that a packed payment takes at least."""
_PLAIN = 128
"""Characters of a payee up to which judging it is a matter of microseconds."""
_STEP = 2_000
"""Payees judged in a step; a long one counts as one for each thousand characters. About 15 ms."""
_LONG_PAYEE = 4
"""What a long payee counts besides its length."""
_PASSED_AT_ONCE = 50_000
"""Payments passed over in a step: about 5 ms."""


@dataclass(frozen=True, slots=True)
class PaidPayments:
    """The outputs that packed payments make, serialized; `total` in duffs."""

    count: int
    total: int
    packed: bytes

    def outputs(self) -> list[tuple[bytes, int]]:
        """Return (script, duffs) of each, in their order."""
        reader, outputs = Reader(self.packed), []
        for _ in range(self.count):
            amount = reader.uint64()
            outputs.append((reader.varstr(), amount))
        return outputs


def pack_output(script: bytes, amount: int) -> bytes:
    """Return the bytes of one output: uint64 duffs, varstr script."""
    return pack_uint64(amount) + _packed_script(script)


@lru_cache(maxsize=4096)
def _packed_script(script: bytes) -> bytes:
    """Return a script as varstr: the same few are paid in every job and every share."""
    return pack_varstr(script)


def read_payments(reader: Reader, count: int) -> Iterable[tuple[str, int]]:
    """Yield (payee, amount) of so many packed payments. A payee is text of one character a byte."""
    varstr, take = reader.varstr, reader.take
    for _ in range(count):
        yield varstr().decode("latin-1"), int.from_bytes(take(8), "little")


def pass_payments(reader: Reader, count: int) -> Generator[None, None, None]:
    """Move the reader behind so many packed payments, in steps. Raises ParseError if the data ends early."""
    data, position = reader.data, reader.position
    for number in range(1, count + 1):
        length = data[position] if position < reader.end else 0
        if length < 0xFD:
            position += length + MIN_PAYMENT
        else:
            reader.position = position
            length = reader.varint()
            position = reader.position + length + 8
        if number % _PASSED_AT_ONCE == 0:
            yield
    if position > reader.end:
        raise ParseError(f"packed payments end {position - reader.end} bytes after the data")
    reader.position = position


def judge_payments(
    payments: Iterable[tuple[str, int]], versions: AddressVersions
) -> Generator[None, None, PaidPayments]:
    """Return the outputs of packed payments, without those that are skipped, in steps.

    Raises ShareInvalid if a payee's text makes the share invalid, whatever its amount.
    """
    pieces: list[bytes] = []
    total = work = 0
    for payee, amount in payments:
        try:
            if len(payee) <= _PLAIN:
                script = payee_script(payee, versions)
            else:
                script = yield from payee_script_steps(payee, versions)
                work += _LONG_PAYEE + len(payee) // 1000
        except ParseError as error:
            raise ShareInvalid(Reason.PAYEE_MALFORMED, str(error)) from None
        if script is not None and amount:
            pieces.append(pack_output(script, amount))
            total += amount
        work += 1
        if work >= _STEP:
            work = 0
            yield
    return PaidPayments(len(pieces), total, b"".join(pieces))
