"""What every part that says what a network sees must do."""

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.registry import VIEWS
from tests.cxrkeras.networks import network_of
from tests.parts.each import each, part_of

pytestmark = pytest.mark.jax
SIZE, SIDE = 56, 48


def small(part_id) -> str:
    """The part, with crops of 48 pixels where it takes a side."""
    kind, name = part_of(part_id)
    return f"{name}:side={SIDE}" if "side" in kind.load(name).model_fields else name


def said(model, given):
    return keras.ops.convert_to_numpy(model(given, training=False))


@each(VIEWS)
def test_crops_lie_about_the_image_and_the_first_is_within_and_as_it_is(part_id):
    views = VIEWS.make(small(part_id))
    crops, side = views.crops(SIZE), views.seen(SIZE)
    assert not crops[0].mirrored
    assert len(set(crops)) == len(crops)
    for crop in crops:  # three quarters of each at least
        assert min(crop.top, crop.left) >= -side / 4
        assert max(crop.top, crop.left) + side <= SIZE + side / 4
    assert min(crops[0][:2]) >= 0
    assert max(crops[0][:2]) + side <= SIZE
    left, top, right, bottom = np.multiply(views.box(SIZE), SIZE)
    first = crops[0].left, crops[0].top, crops[0].left + side, crops[0].top + side
    np.testing.assert_allclose([left, top, right, bottom], first, atol=1e-9)


@each(VIEWS)
@pytest.mark.parametrize(
    "inputs", [pytest.param(("image",), marks=pytest.mark.slow), ("image", "sex")]
)
def test_a_prediction_is_the_mean_over_crops_cut_by_hand(part_id, inputs, tmp_path):
    text = small(part_id)
    views = VIEWS.make(text)
    side = views.seen(SIZE)
    network = network_of(("tiny",), SIZE, {TARGET: 3}, inputs=inputs, views=text)
    of_crop = network_of(("tiny",), side, {TARGET: 3}, inputs=inputs)
    rng = np.random.default_rng(0)
    for layer in ("target",):
        shapes = [w.shape for w in network.logits.get_layer(layer).get_weights()]
        network.logits.get_layer(layer).set_weights([rng.normal(size=s) for s in shapes])
    of_crop.logits.set_weights(network.logits.get_weights())
    images = rng.uniform(0, 255, (3, SIZE, SIZE, 1)).astype(np.float32)

    def given(pixels):
        return pixels if len(inputs) == 1 else {"image": pixels, "sex": np.float32([[0], [1], [0]])}

    by_hand, black = [], np.pad(images, ((0, 0), (SIZE, SIZE), (SIZE, SIZE), (0, 0)))
    for top, left, mirrored in views.crops(SIZE):
        cut = black[:, SIZE + top :, SIZE + left :][:, :side, :side]
        cut = cut[:, :, ::-1] if mirrored else cut
        by_hand.append(said(of_crop.probability, given(cut)))
    told = said(network.probability, given(images))
    np.testing.assert_allclose(told, np.mean(by_hand, axis=0), atol=1e-6)
    logits = keras.ops.convert_to_numpy(network.logits(given(images))[TARGET])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), by_hand[0], atol=1e-6)
    assert network.probability.output_shape == (None, 3)

    network.probability.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(said(again, given(images)), told)


def test_one_shifted_view_is_the_image_to_the_bit():
    plain, one = (network_of(("tiny",), SIZE, {TARGET: 3}, views=v) for v in ("whole", "shifts:1"))
    one.logits.set_weights(plain.logits.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 1)).astype(np.float32)
    told = [said(network.probability, images) for network in (plain, one)]
    assert np.array_equal(*told)


def test_shifts_differ_stay_mild_and_are_drawn_by_their_seed():
    crops = VIEWS.make("shifts:count=9,by=0.05").crops(256)
    assert len(set(crops)) == 9
    assert max(abs(step) for crop in crops for step in crop[:2]) <= 13
    assert not any(crop.mirrored for crop in crops)
    assert VIEWS.make("shifts:count=5,by=0.05").crops(256) == crops[:5]
    assert VIEWS.make("shifts:count=9,by=0.05,seed=1").crops(256) != crops
    mirrored = VIEWS.make("shifts:count=5,mirrored=true").crops(256)
    assert [crop.mirrored for crop in mirrored] == [False, True, False, True, False]
