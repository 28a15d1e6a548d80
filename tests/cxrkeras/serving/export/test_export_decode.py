"""The graph's decoding against `data_prep`'s, pixel by pixel."""

from functools import cache, partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrkeras.data.preparation import Preparation
from cxrkeras.serving.export.decode import Decoder, resample
from cxrkeras.serving.predict.films import prepare_film
from data_prep.films.admission import Admission
from tests.cxrkeras.serving.export.picture_files import GREY, png, unusable, usable

KINDS = (
    Preparation(image_size=64),
    Preparation(image_size=50, pad=True),
    Preparation(image_size=40, stretch=(1.0, 99.0)),
)
SIDE = 32
RESAMPLE = tuple(
    tf.function(
        partial(resample, axis=axis),
        input_signature=[tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((), tf.int32)],
    )
    for axis in (0, 1)
)


@cache
def batch(preparation: Preparation):
    decoder = Decoder(preparation.image_size, preparation.pad, preparation.stretch, SIDE)
    return tf.function(decoder.batch, input_signature=[tf.TensorSpec((None,), tf.string)])


def decoded(preparation: Preparation, contents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(tensor.numpy() for tensor in batch(preparation)(contents))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")

    def prepare(content: bytes, preparation: Preparation):
        path = folder / "picture"
        path.write_bytes(content)
        return prepare_film(path, preparation, SIDE)

    return prepare


@pytest.mark.parametrize(
    "preparation",
    [
        KINDS[0],
        Preparation(image_size=40, pad=True, stretch=(1.0, 99.0)),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:]),
    ],
    ids=str,
)
def test_every_file_that_prep_reads_comes_out_as_prep_makes_it(preparation, prepared):
    files = usable()
    images, valid = decoded(preparation, list(files.values()))
    for row, (name, content) in enumerate(files.items()):
        film = prepared(content, preparation)
        assert valid[row], name
        np.testing.assert_array_equal(images[row, ..., 0], film.image, err_msg=name)


def test_what_prep_rejects_is_invalid_and_leaves_the_others_alone(prepared):
    bad = unusable()
    good = list(usable().values())[: len(bad)]
    alone, _ = decoded(KINDS[0], good)
    mixed = [content for pair in zip(good, bad.values(), strict=True) for content in pair]
    images, valid = decoded(KINDS[0], mixed)
    for name, content in bad.items():
        assert prepared(content, KINDS[0]).reason, name
    assert dict(zip(bad, valid[1::2], strict=True)) == dict.fromkeys(bad, False)
    assert valid[::2].all()
    np.testing.assert_array_equal(images[::2], alone)
    assert not images[1::2].any()


def test_a_batch_may_be_empty_or_wholly_broken():
    images, valid = decoded(KINDS[0], [])
    assert images.shape == (0, SIDE, SIDE, 1)
    images, valid = decoded(KINDS[0], [b"", b"x"])
    assert images.shape == (2, SIDE, SIDE, 1)
    assert not valid.any()


@given(st.integers(1, 300), st.integers(1, 200), st.sampled_from([0, 1]), st.integers(0, 2**31))
@settings(max_examples=100)
def test_resampling_is_pillows_to_the_last_bit(length, size, axis, seed):
    shape = (length, 3) if axis == 0 else (3, length)
    pixels = np.random.default_rng(seed).random(shape, np.float32)
    ours = RESAMPLE[axis](pixels, size).numpy()
    target = (3, size) if axis == 0 else (size, 3)
    theirs = np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.real
def test_rgba_originals_and_large_greys(real, prepared):
    files = sorted(real("nih_originals").glob("*.png"))[:8]
    preparation = Preparation()
    images, valid = decoded(preparation, [path.read_bytes() for path in files])
    assert valid.all()
    for path, image in zip(files, images, strict=True):
        film = prepare_film(path, preparation, SIDE)
        np.testing.assert_array_equal(image[..., 0], film.image, err_msg=path.name)


def test_ignoring_errors_does_not_hide_a_wrong_signature():
    with pytest.raises((TypeError, ValueError)):
        decoded(KINDS[0], np.zeros((2, 3), np.float32))
    assert decoded(KINDS[0], [png(GREY)])[1].all()


@pytest.mark.parametrize(
    ("admission", "valid"),
    [(Admission(), [True, False]), (Admission(min_side=20, max_pixels=900), [False, True])],
)
def test_the_bounds_of_a_side_and_of_all_pixels_are_those_of_the_export(admission, valid):
    decoder = Decoder(64, False, None, SIDE, admission)
    for shape, admitted in zip(((40, 24), (20, 45)), valid, strict=True):
        content = tf.constant(png(np.resize(GREY, shape)))
        if admitted:
            assert decoder.one(content).shape == (SIDE, SIDE, 1)
        else:
            with pytest.raises(tf.errors.InvalidArgumentError):
                decoder.one(content)
