"""What a head must be: its logits are a function of each image alone, and can be kept."""

from functools import cache

import keras
import numpy as np
import pytest

from cxrkeras.models.network import TARGET
from cxrkeras.registry import HEADS
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import foreign_classes
from tests.parts.each import each, made, part_of

SIDE, LABELS = 64, 3
ON_JAX = keras.backend.backend() == "jax"
every_head = each(HEADS)


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    known.add("steps", monkeypatch)


def images(count=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, SIDE, SIDE, 1)).astype(np.float32)


def network(part_id, backbones=("steps",), heads=None, **how):
    head = str(made(part_id))
    return network_of(backbones, SIDE, heads or {TARGET: LABELS}, head=head, **how)


@cache
def _usual(part_id):
    built = network(part_id)
    return built, built.logits.get_weights()


def usual(part_id):
    """The network of seed 0 and its weights as at first; built once for all tests of a head."""
    built, start = _usual(part_id)
    built.logits.set_weights(start)
    return built


def lively(built):
    """Every weight at random, so that each counts; the network itself."""
    rng = np.random.default_rng(1)
    for weight in built.logits.weights:
        low, high = (0.5, 1.5) if "variance" in weight.name else (-0.3, 0.3)
        weight.assign(rng.uniform(low, high, weight.shape))
    return built


def answers(model, inputs):
    found = keras.ops.convert_to_numpy(model(inputs, training=False))
    assert np.isfinite(found).all()
    return found


@every_head
def test_logits_are_of_each_image_alone(part_id):
    built = lively(usual(part_id)).logits
    model = lambda inputs, training: built(inputs, training=training)[TARGET]  # noqa: E731
    together = answers(model, images())
    assert together.shape == (3, LABELS)
    scale = np.abs(together).max()
    assert np.ptp(together, axis=0).min() > 1e-6 * scale
    order = [2, 0, 1]
    close = {"rtol": 0, "atol": 1e-5 * scale}
    np.testing.assert_allclose(answers(model, images()[order]), together[order], **close)
    alone = np.concatenate([answers(model, image[None]) for image in images()])
    np.testing.assert_allclose(alone, together, **close)
    np.testing.assert_array_equal(answers(model, images()), together)  # nothing is drawn


@every_head
def test_the_seed_decides_its_first_weights(part_id):
    one = usual(part_id).logits.get_weights()
    same, other = (network(part_id, seed=seed).logits.get_weights() for seed in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert [a.shape for a in one] == [a.shape for a in other]


@every_head
def test_it_starts_from_the_bias_alone_where_it_has_one(part_id):
    logits = usual(part_id).logits
    layer = logits.get_layer(TARGET)
    if getattr(layer, "bias", None) is None:
        pytest.skip("its last layer has no bias")
    layer.bias.assign([1.0, 2.0, 3.0])
    found = keras.ops.convert_to_numpy(logits(images())[TARGET])
    np.testing.assert_array_equal(found, np.tile(np.float32([1, 2, 3]), (3, 1)))


@every_head
# One trunk alone: test_combinations.py has each head on one of them, and its slow test on both.
@pytest.mark.parametrize(
    "backbones",
    [
        ("steps", "tiny"),
        *(pytest.param((name,), marks=pytest.mark.slow) for name in ("steps", "tiny")),
    ],
)
def test_it_stands_on_any_trunks_and_gives_any_outputs(part_id, backbones):
    """`tiny` has a map at stride 4 alone."""
    three_way = {"b": np.array([True, False])}
    built = network(part_id, backbones, {"a": 1, "b": 2}, three_way=three_way)
    shapes = {name: tuple(out.shape) for name, out in built.logits(images()).items()}
    assert shapes == {"a": (3, 1), "b": (3, 4)}
    names = [layer.name for layer in built.logits.layers]
    assert len(set(names)) == len(names)


@every_head
def test_it_uses_what_else_is_known_of_an_image(part_id):
    built = lively(network(part_id, inputs=("image", "age", "sex")))
    given = {"image": images(), "age": np.full((3, 1), -1.0), "sex": np.full((3, 1), -1.0)}
    unknown = answers(built.probability, given)
    for name, value in (("age", 80.0), ("sex", 1.0)):
        told = answers(built.probability, {**given, name: np.full((3, 1), value)})
        assert (np.abs(told - unknown) > 1e-6).any(), name


@every_head
def test_pooled_features_are_vectors_without_weights(part_id):
    kind, name = part_of(part_id)
    if not kind.load(name).pooled:
        pytest.skip("its features aren't pooled, or have weights")
    built = usual(part_id)
    assert len(built.features.output_shape) == 2
    own = sum(len(trunk.weights) for trunk in built.trunks)
    assert len(built.features.weights) == own


@every_head
def test_its_model_comes_back_from_its_file(part_id, tmp_path):
    kind, name = part_of(part_id)
    model = lively(usual(part_id)).probability
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(answers(again, images()), answers(model, images()))
    package, foreign = kind.about(name).package, foreign_classes(model)
    # Our own have stock layers; those of others are registered under the package's name.
    assert all(f"({package}>" in each for each in foreign) if package else not foreign


@pytest.mark.slow
@pytest.mark.skipif(ON_JAX, reason="exports need TensorFlow")
@every_head
def test_its_model_goes_to_onnx(part_id, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="package onnxruntime (extra onnx)")
    from cxrkeras.data.preparation import Preparation
    from cxrkeras.serving.export.portable import BATCH, run_onnx, write_onnx
    from cxrkeras.serving.export.saved_model import Described

    model = lively(usual(part_id)).probability
    labels = tuple("abc")
    nothing = np.full(LABELS, np.nan)
    write_onnx(Described(model, labels, nothing, Preparation(image_size=SIDE), {}), tmp_path)
    np.testing.assert_allclose(run_onnx(tmp_path, images()), answers(model, images()), atol=1e-5)
    one = images()[:1]
    np.testing.assert_allclose(run_onnx(tmp_path, one), answers(model, one), atol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert {value.shape[0] for value in session.get_inputs() + session.get_outputs()} == {BATCH}
