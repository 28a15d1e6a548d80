"""Harm done to bytes, whatever they mean."""

import struct
import zlib

import numpy as np

_LENGTHS = (0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_HEAD = 2000  # bytes in which most headers lie


def harmed(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """One to three mutations of any kind, and their names."""
    names = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        mutation = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
        content = mutation(content, rng) if content else content
        names.append(mutation.__name__.strip("_"))
    return content, "+".join(names)


def _flips(content: bytes, rng: np.random.Generator, within: int | None = None) -> bytes:
    found = np.frombuffer(content, np.uint8).copy()
    count = int(rng.choice([1, 2, 5, 20, 200]))
    places = rng.integers(0, min(within or len(found), len(found)), count)
    np.bitwise_xor.at(found, places, (1 << rng.integers(0, 8, count)).astype(np.uint8))
    return found.tobytes()


def _flips_in_the_header(content: bytes, rng: np.random.Generator) -> bytes:
    return _flips(content, rng, _HEAD)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _cut_at_the_end(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: -int(rng.integers(1, 200))]


def _chunk(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(len(content)))
    return start, start + int(rng.choice([1, 2, 8, 64, 1000, 20_000]))


def _twice(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = _chunk(content, rng)
    return content[:end] + content[start:]


def _without(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = _chunk(content, rng)
    return content[:start] + content[end:]


def _noise(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = _chunk(content, rng)
    return content[:start] + rng.bytes(min(end, len(content)) - start) + content[end:]


def _elsewhere(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = _chunk(content, rng)
    place = int(rng.integers(len(content)))
    rest = content[:start] + content[end:]
    return rest[:place] + content[start:end] + rest[place:]


def _length(content: bytes, rng: np.random.Generator) -> bytes:
    """A number where a length may stand, of either byte order."""
    form = str(rng.choice(["<I", ">I", "<H", ">H"]))
    value = int(rng.choice(_LENGTHS)) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
    place = int(rng.integers(min(len(content), _HEAD * int(rng.choice([1, 50])))))
    field = struct.pack(form, value)
    return content[:place] + field + content[place + len(field) :]


def _sides(content: bytes, rng: np.random.Generator) -> bytes:
    """The sides in a PNG's, JPEG's or JPEG 2000's own header; else some length."""
    side = struct.pack(">I", int(rng.choice([0, 1, 65_535, 100_000, 2**30, 2**32 - 1])))
    if (place := content.find(b"IHDR")) > 0:
        start = place + 4 + 4 * int(rng.integers(2))
        changed = bytearray(content)
        changed[start : start + 4] = side
        changed[place + 17 : place + 21] = struct.pack(
            ">I", zlib.crc32(changed[place : place + 17])
        )
        return bytes(changed)
    starts = {b"\xff\x51": 6, b"\xff\xc0": 5, b"\xff\xc2": 5, b"\xff\xc3": 5, b"\xff\xf7": 5}
    found = [(content.find(mark), skip) for mark, skip in starts.items() if mark in content]
    if not found:
        return _length(content, rng)
    place, skip = found[int(rng.integers(len(found)))]
    field = side if skip == 6 else side[2:]
    start = place + skip + len(field) * int(rng.integers(2))
    return content[:start] + field + content[start + len(field) :]


_MUTATIONS = (
    _flips,
    _flips_in_the_header,
    _cut,
    _cut_at_the_end,
    _twice,
    _without,
    _noise,
    _elsewhere,
    _length,
    _sides,
)
