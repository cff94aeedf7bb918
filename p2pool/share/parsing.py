"""Making shares of the bytes that a peer, a file or a job of this node gave: in one pass, long ones in steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from p2pool.base.acyclic import never_in_cycles
from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash.hashes import BLOCK_SIZE, continue_sha256d, hash_hex, sha256d
from p2pool.dash.merkle import walk_branch
from p2pool.dash.pow import x11_digest, x11_digests
from p2pool.dash.target import bits_to_target, target_to_average_attempts
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.payments import PaidPayments, judge_payments, read_payments
from p2pool.share.share import Links, Share, ShareVersion
from p2pool.wire.codec import Reader

_WALKED_AT_ONCE = 10_000
"""Entries of a branch hashed in a step: about 10 ms."""
_LARGE = 200_000
"""Bytes of a share that is taken in more than one step, whatever it is made of."""

IsHeld = Callable[[int], bool]
"""Share hash -> whether a share is held, or was found invalid."""
PackedContents = tuple[ShareVersion, bytes]
"""A share as it came out of its envelope."""
ParsedShare = Share | ParseError | ShareInvalid
"""A share, or why its contents are none."""


def _is_never_held(share_hash: int) -> bool:
    return False


def open_envelope(reader: Reader) -> tuple[int, bytes]:
    """Return (type, contents) at the reader's position. `versions` lists the types that can be parsed."""
    return reader.varint(), reader.varstr()


def ref_hash_of(ref_bytes: bytes, branch: tuple[bytes, ...], network: Network) -> bytes:
    """Return the 32 bytes with which a generation transaction commits to a share. `ref_bytes`: see `Links`."""
    return walk_branch(sha256d(network.identifier + ref_bytes), branch)


def _ref_hash_steps(ref_bytes: bytes, branch: tuple[bytes, ...], network: Network) -> Generator[None, None, bytes]:
    """Return the ref_hash, in steps: the branch may have as many entries as a message has room for."""
    value = sha256d(network.identifier + ref_bytes)
    for start in range(0, len(branch), _WALKED_AT_ONCE):
        if start:
            yield
        value = walk_branch(value, branch[start : start + _WALKED_AT_ONCE])
    return value


def parse_share(
    version: ShareVersion, contents: bytes, network: Network, *, known_hash: int | None = None
) -> Share:
    """Parse and do the checks that need no parents, all at once: see `parse_share_steps`."""
    return finish(parse_share_steps(version, contents, network, known_hash=known_hash))


def parse_share_steps(
    version: ShareVersion,
    contents: bytes,
    network: Network,
    *,
    known_hash: int | None = None,
    is_held: IsHeld = _is_never_held,
) -> Generator[None, None, Share]:
    """Parse the contents of a share of this version, do the checks that need no parents, and judge many or long
    payments.

    An everyday share takes one step; one of megabytes yields whenever the reactor may do something else.

    Payments of a share that `is_held` already, by its hash, are not judged again: it comes from many peers.
    `known_hash` saves the one X11 hash if the caller has just computed it; never pass what came from outside.
    Raises ParseError (malformed) or ShareInvalid (breaks a rule).
    """
    share, target = yield from _read_steps(version, contents, network)
    digest = x11_digest(share.header) if known_hash is None else known_hash.to_bytes(32, "little")
    yield from _take_hash_steps(share, digest, target, network=network, is_held=is_held)
    return share


def parse_shares(packed: Iterable[PackedContents], network: Network) -> list[ParsedShare]:
    """Parse shares all at once, for threads: see `parse_shares_steps`."""
    return finish(parse_shares_steps(packed, network))


def parse_shares_steps(
    packed: Iterable[PackedContents], network: Network, *, is_held: IsHeld = _is_never_held
) -> Generator[None, None, list[ParsedShare]]:
    """Return for each of these contents the share, or why it is none: what `parse_share_steps` returns or raises.

    Their hashes are computed together, which takes half the time. The caller bounds how many there are.
    """
    results: list[ParsedShare] = []
    headers: list[bytes] = []
    hashed: list[tuple[int, Share, int]] = []
    """(index in `results`, share, target) of what has a header."""
    for version, contents in packed:
        try:
            share, target = yield from _read_steps(version, contents, network)
        except (ParseError, ShareInvalid) as error:
            results.append(error)
            continue
        headers.append(share.header)
        hashed.append((len(results), share, target))
        results.append(share)
    for (index, share, target), digest in zip(hashed, x11_digests(headers), strict=True):
        try:
            yield from _take_hash_steps(share, digest, target, network=network, is_held=is_held)
        except ShareInvalid as error:
            results[index] = error
    return results


def _read_steps(
    version: ShareVersion, contents: bytes, network: Network
) -> Generator[None, None, tuple[Share, int]]:
    """Return the share without what its own hash decides, and its target."""
    share = version.codec.share_class()
    share.version = version
    share.contents = contents
    reader = Reader(contents)
    links = yield from version.codec.read(reader, share)
    reader.expect_end()
    if len(contents) > _LARGE:
        yield

    version.rules.check_form(share)
    target = bits_to_target(share.bits)
    if target > network.max_target:
        raise ShareInvalid(Reason.TARGET_TOO_EASY, f"bits {share.bits:08x}")
    branch = share.ref_merkle_link
    if branch:
        share.ref_hash = yield from _ref_hash_steps(links.ref_bytes, branch, network)
    else:
        share.ref_hash = sha256d(network.identifier + links.ref_bytes)
    tail = b"".join((share.ref_hash, share.last_txout_nonce, b"\x00\x00\x00\x00", links.packed_payload))
    share.gentx_hash = _hash_link_digest(links, version.gentx_before_ref_hash, tail)
    return share, target


def _take_hash_steps(
    share: Share, digest: bytes, target: int, *, network: Network, is_held: IsHeld
) -> Generator[None, None, None]:
    """Set the hash of a share, and what depends on it. Raises ShareInvalid if it exceeds the target."""
    share.hash = int.from_bytes(digest, "little")
    if share.hash > target:
        raise ShareInvalid(Reason.NO_WORK, hash_hex(share.hash))
    share.attempts = target_to_average_attempts(target)
    share.minimum_attempts = target_to_average_attempts(bits_to_target(share.max_bits))
    share.paid = None
    if share.kept_payments is None and not is_held(share.hash):
        share.paid = yield from _judge(share, network)
    never_in_cycles(share)


def _judge(share: Share, network: Network) -> Generator[None, None, PaidPayments | str]:
    """Return what the payments come to. That they make the share invalid is raised when it is checked."""
    payments = read_payments(Reader(share.contents, share.payments_start), share.payments_count)
    try:
        return (yield from judge_payments(payments, network.parent.addresses))
    except ShareInvalid as error:
        return error.detail


def _hash_link_digest(links: Links, before_ref_hash: bytes, tail: bytes) -> bytes:
    """Return the hash (32 bytes) of the generation transaction whose first `length` bytes, which end with
    `before_ref_hash`, led to `state`."""
    length, extra_data = links.length, links.extra_data
    unfinished = length % BLOCK_SIZE
    if len(extra_data) != max(0, unfinished - len(before_ref_hash)):
        raise ShareInvalid(Reason.HASH_LINK_EXTRA_DATA, f"{len(extra_data)} bytes")
    if 8 * (length + len(tail)) >= 1 << 64:
        raise ShareInvalid(Reason.HASH_LINK_LENGTH, f"{length} bytes")
    pending = (extra_data + before_ref_hash)[-unfinished:] if unfinished else b""
    return continue_sha256d(links.state, length - unfinished, pending + tail)
