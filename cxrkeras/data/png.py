"""Reading PNG files whose rows all have the filter "up", faster than libpng does.

With it (PNG, third edition, 9.2) each byte is the difference from the one above, so that a column's
bytes are summed up, modulo 256, and all columns at once.
"""

import struct
from functools import lru_cache

import numpy as np
from isal import isal_zlib as zlib  # unpacks twice as fast as zlib itself

_UP = 2
_START = 41  # of the packed pixels: 8 of the signature, 25 of IHDR, 8 of the length and IDAT
_END = b"\0\0\0\0IEND\xaeB\x60\x82"


def up_filtered(content: bytes, size: int) -> np.ndarray | None:
    """The pixels of an intact PNG file that is grey, 8 bit, not interlaced, and filtered so.

    Args:
        content: of the file.
        size: the wanted side S in pixels.

    Returns:
        (S, S) uint8; None for any other file, whether damaged, of another size, or otherwise made.
    """
    end = len(content) - 4 - len(_END)
    head = _head(size) + struct.pack(">I", max(end - _START, 0)) + b"IDAT"
    tail = struct.pack(">I", zlib.crc32(memoryview(content)[_START - 4 : max(end, 0)])) + _END
    if not content.startswith(head) or not content.endswith(tail) or end < _START:
        return None
    unpacker, wanted = zlib.decompressobj(), size * (size + 1)
    try:
        # One byte more than wanted, so that the end of the data, with its checksum, is reached.
        raw = unpacker.decompress(memoryview(content)[_START:end], wanted + 1)
    except zlib.error:
        return None
    if len(raw) != wanted or not unpacker.eof or unpacker.unused_data:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(size, size + 1)
    if (rows[:, 0] != _UP).any():
        return None
    return _summed(rows[:, 1:])


def _summed(rows: np.ndarray) -> np.ndarray:
    """`np.cumsum(rows, axis=0, dtype=np.uint8)`, five times as fast: sums of 2, 4, 8, … rows."""
    sums, known = rows.copy(), 1
    while known < len(rows):
        further = sums.copy()
        np.add(sums[known:], sums[:-known], out=further[known:])
        sums, known = further, 2 * known
    return sums


@lru_cache
def _head(size: int) -> bytes:
    """Signature and IHDR: side, side, 8 bits, grey, no choice of packing or filters, whole."""
    body = b"IHDR" + struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + body + struct.pack(">I", zlib.crc32(body))
