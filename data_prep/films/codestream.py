"""The picture's size that a compressed stream itself declares, read without decoding.

A decoder makes room for that, whatever the DICOM header around it says: JPEG (ITU-T T.81 B.2.2),
JPEG-LS (T.87 C.2.2), JPEG 2000 (T.800 A.5.1).
"""

import struct

from data_prep.errors import RejectedFile

_SIZ = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, and its size marker
_NO_FRAMES = frozenset((0xC4, 0xC8, 0xCC))  # among FFC0 to FFCF: tables and reserved
_JPEG_LS = 0xF7
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a segment


def stream_size(stream: bytes) -> tuple[int, int, int]:
    """(rows, columns, samples) of a JPEG, JPEG-LS or JPEG 2000 stream.

    Raises:
        RejectedFile: it is none, or its header is damaged.
    """
    try:
        return _jpeg_2000(stream) if stream[:2] != b"\xff\xd8" else _jpeg(stream)
    except (struct.error, ValueError):
        raise RejectedFile("damaged pixel data: its stream has no readable size") from None


def _jpeg_2000(stream: bytes) -> tuple[int, int, int]:
    """Of the bare codestream, or of the first one inside a JP2 file."""
    start = stream.index(_SIZ) + 8  # marker, length and capabilities
    width, height, left, top = struct.unpack_from(">4I", stream, start)
    (samples,) = struct.unpack_from(">H", stream, start + 32)
    if width <= left or height <= top:
        raise ValueError
    return height - top, width - left, samples


def _jpeg(stream: bytes) -> tuple[int, int, int]:
    _, place, _ = jpeg_frame(stream)
    return struct.unpack_from(">HHB", stream, place + 5)


def jpeg_frame(stream: bytes) -> tuple[int, int, int]:
    """(kind, place, samples) of a JPEG's first frame header: `kind` is its marker's second byte.

    Raises:
        ValueError, struct.error: there is none.
    """
    place = 2
    while True:
        place = stream.index(b"\xff", place) + 1
        (kind,) = struct.unpack_from("B", stream, place)
        if kind in _BARE or kind in (0x00, 0xFF):
            continue
        if kind == _JPEG_LS or (0xC0 <= kind <= 0xCF and kind not in _NO_FRAMES):
            return kind, place - 1, struct.unpack_from("B", stream, place + 8)[0]
        (length,) = struct.unpack_from(">H", stream, place + 1)
        place += 1 + length
