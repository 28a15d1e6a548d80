"""PNG, JPEG and TIFF: every mode that radiographs come in, and clear refusals for the rest."""

import numpy as np
import pytest
import skimage.io
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.errors import RejectedFile
from data_prep.films.film import read_film

GREY = (np.add.outer(np.arange(48), np.arange(40)) * 2).astype(np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return read_film(path)


def rejection(path):
    with pytest.raises(RejectedFile) as caught:
        read_film(path)
    return str(caught.value)


def with_alpha(mode):
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(Image.fromarray(255 - GREY))
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        with_alpha("LA"),
        with_alpha("RGBA"),
        Image.fromarray(GREY).convert("RGB"),
        Image.fromarray(GREY).convert("P"),
        Image.fromarray(GREY.astype(np.uint16) * 257),
    ],
    ids=["L", "LA", "RGBA", "RGB", "P", "I;16"],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_one_picture_in_every_mode_is_the_same_film(tmp_path, image, suffix):
    film = saved(image, tmp_path / f"film.{suffix}")
    np.testing.assert_array_equal(film.pixels, (GREY / 255).astype(np.float32))
    assert film.pixels.dtype == np.float32
    assert film.warnings == ()
    assert film.header is None


def test_one_bit(tmp_path):
    film = saved(Image.fromarray(GREY > 80), tmp_path / "film.png")
    np.testing.assert_array_equal(film.pixels, GREY > 80)


def test_colour_becomes_luminance(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    film = saved(Image.fromarray(rgb), tmp_path / "film.png")
    np.testing.assert_allclose(film.pixels, rgb @ np.array([0.299, 0.587, 0.114]) / 255, atol=1e-6)
    assert film.warnings == ("colour image: its luminance is used",)


def test_jpeg_agrees_with_another_reader(tmp_path):
    film = saved(Image.fromarray(GREY), tmp_path / "film.jpg", quality=90)
    other = skimage.io.imread(tmp_path / "film.jpg")
    np.testing.assert_allclose(film.pixels, other / 255, atol=1e-6)


def test_16_bits_that_use_only_12_are_named(tmp_path):
    film = saved(Image.fromarray(GREY.astype(np.uint16) * 16), tmp_path / "film.png")
    np.testing.assert_allclose(film.pixels, GREY * 16.0 / 65535, atol=1e-7)
    assert film.warnings == ("16-bit picture that uses 12 bits: dark unless stretched",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_of_either_polarity(tmp_path, dtype, photometric):
    highest = np.iinfo(dtype).max
    stored = GREY.astype(dtype) * (highest // 255)
    tifffile.imwrite(tmp_path / "film.tif", stored, photometric=photometric)
    expected = stored / highest
    expected = 1 - expected if photometric == "miniswhite" else expected
    np.testing.assert_allclose(read_film(tmp_path / "film.tif").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("depth", ["L", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, depth):
    turned = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: GREY.T[::-1],
        7: GREY[::-1, ::-1].T,
        8: GREY.T[:, ::-1],
    }[orientation]
    stored = turned.astype(np.uint16) * 257 if depth == "I;16" else turned
    exif = Image.Exif()
    exif[0x0112] = orientation
    film = saved(Image.fromarray(np.ascontiguousarray(stored)), tmp_path / "f.png", exif=exif)
    np.testing.assert_allclose(film.pixels, GREY / 255, atol=1e-7)


def test_refusals(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("pages.tif", "moving.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert "several pages" in rejection(tmp_path / name)
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    assert "pixel mode F" in rejection(tmp_path / "float.tif")
    Image.fromarray(GREY).convert("CMYK").save(tmp_path / "print.jpg")
    assert "pixel mode CMYK" in rejection(tmp_path / "print.jpg")
    Image.new("1", (20000, 10000)).save(tmp_path / "bomb.png")
    assert "100 million" in rejection(tmp_path / "bomb.png")
    Image.new("L", (32, 32), 99).save(tmp_path / "blank.png")
    assert "blank" in rejection(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("no picture")
    assert "neither DICOM, PNG" in rejection(tmp_path / "text.png")
    (tmp_path / "empty.png").write_bytes(b"")
    assert rejection(tmp_path / "empty.png") == "empty file"
    absent = rejection(tmp_path / "absent.png")
    assert absent == "file can't be read: no such file or directory"
    assert rejection(tmp_path) == "a folder, not a file"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), kind=st.sampled_from(["png", "jpeg", "tiff"]))
def test_damaged_files_are_read_or_refused_never_worse(tmp_path, data, kind):
    path = tmp_path / "film"
    Image.fromarray(GREY).save(path, format=kind)
    content = bytearray(path.read_bytes())
    last = len(content) - 1
    changes = st.tuples(st.integers(4, last), st.integers(0, 255))
    for place, value in data.draw(st.lists(changes, max_size=5)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.integers(1, last + 1))])
    try:
        film = read_film(path)
    except RejectedFile as refused:
        reason = str(refused)
        assert "\n" not in reason
    else:
        assert 0 <= film.pixels.min() < film.pixels.max() <= 1


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_truncated_files_are_refused(tmp_path, kind):
    path = tmp_path / "film"
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(path, format=kind)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "damaged" in rejection(path)


@pytest.mark.real
def test_real_four_channel_originals_equal_their_own_luminance(real):
    four = 0
    for path in sorted(real("nih_originals").glob("*.png")):
        stored = skimage.io.imread(path)
        if stored.ndim == 3:
            four += 1
            assert stored.shape[-1] == 4
            luminance = stored[..., :3] @ np.array([0.299, 0.587, 0.114]) / 255
            np.testing.assert_allclose(read_film(path).pixels, luminance, atol=1e-6)
    assert four == 8
