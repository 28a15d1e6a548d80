"""What is taken for a film: sizes refused before decoding, costs bounded while decoding."""

import io
import os
import re
import socket
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)

from data_prep.dataset.pool import Died, Worker, spread
from data_prep.errors import RejectedFile, UserError
from data_prep.films.admission import GB, Admission, Limits
from data_prep.films.codestream import stream_size
from data_prep.films.film import read_film
from data_prep.tables.textfile import read_text
from tests.data_prep.films.synthetic_dicom import dicom, save

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
GREY = (RAMP >> 4).astype(np.uint8)


def rejection(source, **options) -> str:
    with pytest.raises(RejectedFile) as caught:
        read_film(source, admission=Admission(**options))
    return str(caught.value)


def png(width: int, height: int) -> bytes:
    """A PNG of that many black pixels in a few bytes, without making them."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def packed(stored: np.ndarray, syntax, bits: int = 12):
    dataset = dicom(stored, bits=bits)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    compress(dataset, syntax)
    return dataset


def test_sizes_are_refused_before_anything_is_decoded():
    assert rejection(png(1, 100_000_000)) == ("100000000 x 1 pixels: a side below 24 (--min-side)")
    assert rejection(png(3, 3)) == "3 x 3 pixels: a side below 24 (--min-side)"
    assert rejection(png(200_000, 200_000)) == (
        "200000 x 200000 pixels: more than 100 million (--max-pixels)"
    )
    assert "damaged picture" in rejection(png(20_000, 20_000), max_pixels=400_000_000)
    assert (
        rejection(png(64, 64), max_pixels=4095) == "64 x 64 pixels: more than 4,095 (--max-pixels)"
    )


def test_options_allow_what_is_refused(tmp_path):
    picture = io.BytesIO()
    Image.fromarray(GREY[:9, :9]).save(picture, "PNG")
    assert "--min-side" in rejection(picture.getvalue())
    assert read_film(picture.getvalue(), admission=Admission(min_side=9)).pixels.shape == (9, 9)
    slice_ = save(dicom(RAMP, Modality="CT"), tmp_path / "ct.dcm")
    assert rejection(slice_) == "modality CT: not a radiograph (--any-modality)"
    assert read_film(slice_, admission=Admission(any_modality=True)).pixels.shape == (64, 64)


@pytest.mark.parametrize(
    ("modality", "reason"),
    [
        *((name, None) for name in ("CR", "DX", "DR", "RG", "XR", "", None)),
        *((name, f"modality {name}") for name in ("OT", "SC", "CT", "MR", "ES", "RF")),
        ("ZQMUELLER", "an unknown modality"),
    ],
)
def test_modalities(tmp_path, modality, reason):
    path = save(dicom(RAMP, Modality=modality), tmp_path / "film.dcm")
    if reason:
        assert rejection(path) == f"{reason}: not a radiograph (--any-modality)"
    else:
        read_film(path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGBaseline8Bit])
def test_a_stream_that_declares_another_size_than_its_header_is_refused(tmp_path, syntax):
    if syntax == JPEGBaseline8Bit:
        content = io.BytesIO()
        Image.fromarray(GREY).save(content, "JPEG")
        dataset = dicom(GREY, bits=8)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([content.getvalue()])
        dataset["PixelData"].VR = "OB"
    else:
        dataset = packed(RAMP, syntax)
    path = save(dataset, tmp_path / "film.dcm")
    read_film(path)
    content = bytearray(path.read_bytes())
    place = _size_at(content, syntax)
    width = 4 if syntax == JPEG2000Lossless else 2
    for start in (place, place + width):
        content[start : start + width] = (65535).to_bytes(width, "big")
    assert rejection(bytes(content)) == (
        "its stream declares 65535 x 65535 pixels of 1 samples, its header 64 x 64"
    )


def _size_at(content: bytes, syntax) -> int:
    if syntax == JPEG2000Lossless:
        return content.index(b"\xff\x4f\xff\x51") + 8
    return content.index(b"\xff\xf7" if syntax == JPEGLSLossless else b"\xff\xc0") + 5


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_size_in_a_stream_is_the_pictures(kind, mode):
    content = io.BytesIO()
    Image.new(mode, (70, 40)).save(content, kind)
    assert stream_size(content.getvalue()) == (40, 70, len(mode))


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51"])
def test_a_stream_without_a_size_is_refused(stream):
    with pytest.raises(RejectedFile, match="no readable size"):
        stream_size(stream)


def test_a_deflated_file_is_unpacked_no_further_than_is_allowed(tmp_path):
    dataset = dicom(np.zeros((1024, 1024), np.uint16))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(dataset, tmp_path / "bomb.dcm")
    assert path.stat().st_size < 100_000
    assert rejection(path, max_pixels=200_000) == (
        "the deflated file holds more than 0.0015 GB, 8 bytes for each pixel allowed (--max-pixels)"
    )
    assert rejection(path).startswith("blank")  # within bounds it is read


def test_a_file_longer_than_any_film_is_not_opened(tmp_path):
    path = tmp_path / "endless.dcm"
    with path.open("wb") as file:
        file.truncate(7 * GB)
    assert "the file holds more than 0.75 GB" in rejection(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe.dcm"
    os.mkfifo(pipe)
    assert rejection(pipe) == "a pipe, not a file"
    assert rejection(Path(os.devnull)) == "a device, not a file"
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # such an address must be short
        server.bind("socket.dcm")
        assert rejection(Path("socket.dcm")) == "a socket, not a file"
    with pytest.raises(UserError, match=r"pipe\.dcm is a pipe: a file of text is needed"):
        read_text(pipe)


def spend(how: str) -> str:
    if how == "time":
        while True:
            pass
    if how == "memory":
        return str(len(bytearray(GB)))
    if how == "crash":
        os.abort()
    return how


LIMITS = Limits(memory=GB // 4, seconds=1)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits are kept on Linux")
def test_each_item_has_its_own_limits_and_costs_no_other():
    items = ["memory", "fine", "time", "crash", "well"]
    assert dict(spread(spend, items, 2, LIMITS)) == {
        "memory": Died("needs more than 0.25 GB of memory (--max-memory)"),
        "time": Died("takes longer than 1 s to read (--max-seconds)"),
        "crash": Died("the decoder crashed on this file"),
        "fine": "fine",
        "well": "well",
    }


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_what_only_waits_is_ended_by_the_walls_clock(monkeypatch):
    monkeypatch.setattr("data_prep.dataset.pool._WAITS", 1)
    worker = Worker(limits := Limits(memory=GB, seconds=2))
    try:
        assert worker.do(sleep, 0.01) == 0.01
        assert worker.do(sleep, 60.0) == Died(limits.too_slow)
    finally:
        worker.end()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_ends_early_is_used_with_a_warning(progressive):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), np.uint8)
    Image.fromarray(noise).save(content, "JPEG", quality=80, progressive=progressive)
    whole = content.getvalue()
    assert read_film(whole).warnings == ()
    (warning,) = read_film(whole[: len(whole) // 2] + b"\xff\xd9").warnings
    missing = "some of its detail" if progressive else r"the last 5\d%"
    assert re.match(f"JPEG that ends early: {missing}", warning)
    assert rejection(whole[: len(whole) // 2]) == "damaged picture: the file ends early"


@pytest.mark.parametrize("appended", [b"\xff\xda", b"\xff\xda\0\x08\x02", b"\xff\xd8\xff\xda\xff"])
def test_what_follows_the_end_of_a_jpeg_is_left_alone(appended):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(noise).save(content, "JPEG", progressive=True)
    assert read_film(content.getvalue() + appended).warnings == ()


def test_a_jpeg_that_ends_early_in_a_dicom_file_warns_too(tmp_path):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), np.uint8)
    Image.fromarray(noise).save(content, "JPEG", quality=80)
    whole = content.getvalue()
    for stream, warned in ((whole, False), (whole[: len(whole) // 2] + b"\xff\xd9", True)):
        dataset = dicom(noise, bits=8, PixelData=encapsulate([stream]))
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset["PixelData"].VR = "OB"
        warnings = read_film(save(dataset, tmp_path / "film.dcm")).warnings
        assert any("ends early: the last 5" in line for line in warnings) is warned
