"""PNG files of any kind that a prepared dataset may hold, written here independently."""

import struct
import zlib

import numpy as np


def up_png(pixels: np.ndarray) -> bytes:
    """(H, W) uint8 as a PNG whose rows all have the filter "up"."""
    above = np.vstack([np.zeros_like(pixels[:1]), pixels[:-1]])
    rows = np.column_stack([np.full(len(pixels), 2, np.uint8), pixels - above])
    return png(pixels.shape, zlib.compress(rows.tobytes()))


def png(shape: tuple[int, int], packed: bytes) -> bytes:
    """A grey 8-bit PNG with these packed rows."""
    header = struct.pack(">IIBBBBB", shape[1], shape[0], 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
