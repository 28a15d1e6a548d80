"""Pictures as the bytes of files of every kind that may reach a server."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (31, 45), np.uint8)
DEEP = RNG.integers(0, 65536, (31, 45), np.uint16)
COLOUR = RNG.integers(0, 256, (31, 45, 4), np.uint8)
SMOOTH = np.asarray(Image.fromarray(COLOUR).convert("RGB").resize((120, 150), Image.BICUBIC))


def saved(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def png(array: np.ndarray) -> bytes:
    return saved(Image.fromarray(array))


def png_by_hand(values: np.ndarray, bits: int, colour: int) -> bytes:
    """A PNG of a depth that Pillow doesn't write: (H, W[, C]), bits per channel, colour type."""
    rows = values.reshape(len(values), -1)
    if bits == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    else:
        singles = np.unpackbits(rows[..., None].astype(np.uint8), axis=2)[..., 8 - bits :]
        packed = [np.packbits(row.ravel()).tobytes() for row in singles]
    header = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in packed))
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def usable() -> dict[str, bytes]:
    """What `prep` reads."""
    colour, smooth = Image.fromarray(COLOUR), Image.fromarray(SMOOTH)
    rgb = colour.convert("RGB")
    files = {
        "grey": png(GREY),
        "deep": png(DEEP),
        "rgb": saved(rgb),
        "rgba": saved(colour),
        "grey in rgba": png(np.dstack([GREY] * 3 + [COLOUR[..., 3]])),
        "grey and alpha": png(COLOUR[..., :2]),
        "palette": saved(rgb.quantize(16)),
        "transparent palette": saved(rgb.quantize(16), transparency=3),
        "transparent grey": saved(Image.fromarray(GREY), transparency=7),
        "bilevel": saved(Image.fromarray(GREY).convert("1")),
        "enlarged": png(GREY[:27, :25]),
        "reduced by two": png(np.asarray(smooth.convert("L").resize((128, 128)))),
        "jpeg grey": saved(smooth.convert("L"), "JPEG"),
        "jpeg": saved(smooth, "JPEG", quality=60),
        "jpeg progressive": saved(smooth, "JPEG", progressive=True, subsampling=1),
        "exif big-endian": saved(
            smooth,
            "JPEG",
            exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0" * 4,
        ),
    }
    for channels, kind in ((2, 4), (3, 2), (4, 6)):
        values = RNG.integers(0, 65536, (31, 45, channels))
        files[f"16 bits, {channels} channels"] = png_by_hand(values, 16, kind)
    for bits in (1, 2, 4):
        files[f"{bits} bits"] = png_by_hand(RNG.integers(0, 1 << bits, (31, 45)), bits, 0)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x010E], exif[0x0112] = "a film", turn
        files[f"jpeg turned {turn}"] = saved(smooth, "JPEG", exif=exif)
        files[f"png turned {turn}"] = saved(rgb, exif=exif)
    turned = Image.Exif()
    turned[0x0112] = 6
    late = saved(rgb, exif=turned)
    at = late.index(b"eXIf") - 4
    size = 12 + int.from_bytes(late[at : at + 4])
    files["png turned after its pixels"] = (
        late[:at] + late[at + size : -12] + late[at : at + size] + late[-12:]
    )
    far = saved(smooth, "JPEG", exif=turned)
    files["jpeg turned behind much else"] = far[:2] + 2 * _comment(b"x" * 65000) + far[2:]
    # Names of chunks where they aren't any: among the pixels, in a comment.
    names = np.tile(np.frombuffer(b"acTLeXIfMM\0*\0\0\0\x08", np.uint8), (31, 3))
    files["names among the pixels"] = saved(Image.fromarray(names), compress_level=0)
    files["names in a comment"] = far[:2] + _comment(b"MPF\0Exif\0\0") + far[2:]
    return files


def _comment(text: bytes) -> bytes:
    """A JPEG's segment that says nothing of the pixels."""
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


def unusable() -> dict[str, bytes]:
    """What `prep` rejects."""
    grey, smooth = png(GREY), saved(Image.fromarray(SMOOTH), "JPEG")
    flipped = bytearray(grey)
    flipped[400] ^= 255
    pair = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return {
        "empty": b"",
        "text": b"no picture at all",
        "header only": grey[:20],
        "png cut off": grey[:700],
        "png damaged": bytes(flipped),
        "jpeg cut off": smooth[: len(smooth) // 2],
        "claims 3.6 billion pixels": grey[:16] + struct.pack(">II", 60000, 60000) + grey[24:],
        "blank": png(np.full((30, 30), 7, np.uint8)),
        "too small": png(GREY[:23, :40]),
        "cmyk": saved(Image.fromarray(COLOUR, "CMYK"), "JPEG"),
        "gif": saved(Image.fromarray(GREY), "GIF"),
        "bmp": saved(Image.fromarray(GREY), "BMP"),
        "animated": saved(pair[0], save_all=True, append_images=pair[1:]),
        "two pictures": saved(
            Image.fromarray(SMOOTH), "MPO", save_all=True, append_images=[Image.fromarray(SMOOTH)]
        ),
    }
