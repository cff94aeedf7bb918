"""X11, the proof of work and at the same time the block hash of Dash.

The provider is picked at import by a known answer: the C function inside the x11_hash extension through ctypes
(its Python wrapper is broken on 3.11 and 3.12; the C function is not, and ctypes releases the GIL), else
dash_hash. Call `x11` once per header: block hash and work hash are the same number. Headers are not
hashed in batches: see docs/adr/0003-no-x11-batching.md.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable

HEADER_SIZE = 80

GENESIS_HEADER = bytes.fromhex(
    "01000000"
    + "00" * 32
    + "c762a6567f3cc092f0684bb62b7e00a84890b990f07cc71a6bb58d64b98e02e0"
    + "022ddb52"
    + "f0ff0f1e"
    + "c23fb901"
)
GENESIS_HASH = int("00000ffd590b1485b3caadc19b22e6379c733355108f107a430458cdf3407ab6", 16)

HashFunction = Callable[[bytes], bytes]


def _x11_hash_through_ctypes() -> HashFunction | None:
    spec = importlib.util.find_spec("x11_hash")
    if spec is None or spec.origin is None:
        return None
    try:
        function = ctypes.CDLL(spec.origin).x11_hash
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    function.restype = None
    make_buffer = ctypes.c_char * 32

    def digest(header: bytes) -> bytes:
        output = make_buffer()
        function(header, output)
        return output.raw

    return digest


def _dash_hash() -> HashFunction | None:
    try:
        import dash_hash
    except ImportError:
        return None
    function: HashFunction = dash_hash.getPoWHash
    return function


def _pick_provider() -> tuple[str, HashFunction]:
    for name, load in (("x11_hash (ctypes)", _x11_hash_through_ctypes), ("dash_hash", _dash_hash)):
        function = load()
        if function is not None and int.from_bytes(function(GENESIS_HEADER), "little") == GENESIS_HASH:
            return name, function
    raise ImportError(
        "no working X11 implementation: install one with `pip install x11_hash` "
        "(needs a C compiler and Python's headers) or `pip install dash_hash`"
    )


PROVIDER, x11_digest = _pick_provider()
"""The provider's name, and the function from an 80-byte header to the 32 bytes of its digest. The length is
not checked here: pass 80 bytes."""


def x11(header: bytes) -> int:
    """Return the X11 hash of an 80-byte header, as the little-endian number compared with targets.

    Raises ValueError if the header is not 80 bytes long.
    """
    if len(header) != HEADER_SIZE:
        raise ValueError(f"a header has {HEADER_SIZE} bytes, not {len(header)}")
    return int.from_bytes(x11_digest(header), "little")
