"""The hybrid: its counts in closed form, a layer of it in NumPy, and positions at any size."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from cxrkeras.models.network import TARGET
from cxrkeras.models.summary.cost import multiply_adds, sight
from cxrkeras.models.weights.trunk import load_trunk, save_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.description import make_experiment
from cxrkeras.runs.sources import Weights
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.cxrkeras.backbones import known
from tests.cxrkeras.networks import network_of
from tests.cxrkeras.plain_keras import foreign_classes

WIDTH, HEADS, MLP, GRID = 8, 2, 12, 3
SMALL = f"hybrid:base=steps,depth=2,width={WIDTH},heads={HEADS},mlp={MLP},grid={GRID}"
OTHER = 80  # pixels, of which 5 x 5 tokens are made


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    known.add("steps", monkeypatch)


def drawn(model: keras.Model, seed: int) -> keras.Model:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.weights])
    return model


@pytest.fixture(scope="module")
def trunk():
    with pytest.MonkeyPatch.context() as patch:
        known.add("steps", patch)
        return drawn(BACKBONES.make(SMALL).trunk(OTHER), 1)


def array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def colour(side: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


def values(trunk: keras.Model, name: str, number: int = 0) -> np.ndarray:
    """What a layer gives of the same images."""
    output = keras.tree.flatten(trunk.get_layer(name).output)[number]
    return array(keras.Model(trunk.inputs[0], output)(colour(trunk.input_shape[1])))


def closed_form(channels: int, depth: int, width: int, mlp: int, grid: int) -> int:
    """Parameters without the base."""
    attention, norm = 4 * (width**2 + width), 2 * width
    dense = 2 * width * mlp + mlp + width
    layer = attention + dense + 2 * norm
    return depth * layer + norm + grid**2 * width + channels * width + width


def test_its_parameters_are_the_published_ones():
    """ViT-B/16 has 85,798,656 without its head: a class token, 197 positions, and its patches'."""
    theirs = 85_798_656 - 2 * 768 - (16 * 16 * 3 * 768 + 768)
    assert closed_form(1024, 12, 768, 3072, 14) - (1024 * 768 + 768) == theirs


@pytest.mark.slow
def test_in_full_size_it_has_them():
    trunk = BACKBONES.make("hybrid").trunk(64)
    own = trunk.count_params() - trunk.get_layer("resnet50").count_params()
    assert own == closed_form(1024, 12, 768, 3072, 14) == 85_993_728


def test_in_small_it_has_them(trunk):
    own = trunk.count_params() - trunk.get_layer("steps").count_params()
    assert own == closed_form(12, 2, WIDTH, MLP, GRID)


def test_tokens_lie_row_by_row_and_are_put_back(trunk):
    tokens, projected = values(trunk, "tokens"), values(trunk, "projection")
    np.testing.assert_array_equal(tokens.reshape(2, 5, 5, WIDTH), projected)
    np.testing.assert_array_equal(
        values(trunk, "map"), values(trunk, "norm").reshape(2, 5, 5, WIDTH)
    )


def test_positions_are_the_learned_grid_or_interpolated(trunk):
    (table,) = map(array, trunk.get_layer("positions").weights)
    table = table.reshape(GRID, GRID, WIDTH)
    found = values(trunk, "places")
    assert not np.ptp(found, axis=0).any()
    expected = array(keras.ops.image.resize(table[None], (5, 5), antialias=False))[0]
    np.testing.assert_allclose(found[0].reshape(5, 5, WIDTH), expected, rtol=1e-5, atol=1e-6)
    native = BACKBONES.make(SMALL).trunk(16 * GRID)
    native.set_weights(trunk.get_weights())
    np.testing.assert_array_equal(values(native, "places")[0].reshape(table.shape), table)


def norm(x, gamma, beta):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * gamma + beta


def test_a_layer_is_what_the_paper_says(trunk):
    """Dosovitskiy et al., appendix A and equations 2 and 3, from the layer's weights."""

    def weights(name: str) -> list[np.ndarray]:
        return [np.float64(value) for value in trunk.get_layer(f"block1_{name}").get_weights()]

    x = np.float64(values(trunk, "placed"))
    q, k, v, out = zip(*[iter(weights("attention"))] * 2, strict=True)
    y = norm(x, *weights("norm1"))
    query, key, value = (
        np.einsum("ntc,chd->nhtd", y, kernel) + bias[:, None] for kernel, bias in (q, k, v)
    )
    scores = softmax(query @ key.swapaxes(2, 3) / np.sqrt(WIDTH / HEADS), axis=-1)
    np.testing.assert_allclose(values(trunk, "block1_attention", 1), scores, atol=1e-5)
    x = x + np.einsum("nhtd,hdc->ntc", scores @ value, out[0]) + out[1]
    kernel, bias = weights("mlp1")
    y = norm(x, *weights("norm2")) @ kernel + bias
    y = y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))) / 2
    kernel, bias = weights("mlp2")
    np.testing.assert_allclose(values(trunk, "block1_add2"), x + y @ kernel + bias, atol=1e-4)


def test_weights_of_one_size_load_at_another_and_those_of_the_base_too(trunk, tmp_path):
    save_trunk(trunk, tmp_path / "x.weights.h5")
    other = drawn(BACKBONES.make(SMALL).trunk(112), 2)
    load_trunk(other, SMALL, Weights(str(tmp_path / "x.weights.h5")))
    for found, expected in zip(other.get_weights(), trunk.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    base = drawn(BACKBONES.make("steps").trunk(64), 3)
    save_trunk(base, tmp_path / "base.weights.h5")
    before = other.get_layer("block2_mlp1").get_weights()[0]
    load_trunk(other, SMALL, Weights(str(tmp_path / "base.weights.h5")))
    inner = other.get_layer("steps").get_weights()
    for found, expected in zip(inner, base.get_weights()[: len(inner)], strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(other.get_layer("block2_mlp1").get_weights()[0], before)


@pytest.mark.slow
def test_resnet50_s_weights_fit_its_first_stages(tmp_path):
    """Keras numbers layers of a kind in a file: those of the stages are the first of the whole."""
    text = "hybrid:depth=1,width=8,heads=2,mlp=8"
    base = drawn(BACKBONES.make("resnet50").trunk(64), 3)
    save_trunk(base, tmp_path / "base.weights.h5")
    trunk = BACKBONES.make(text).trunk(64)
    load_trunk(trunk, text, Weights(str(tmp_path / "base.weights.h5")))
    stages = trunk.get_layer("resnet50").weights
    assert len(stages) == 258
    for found, expected in zip(stages, base.weights, strict=False):
        assert found.path == expected.path
        np.testing.assert_array_equal(array(found), array(expected))


def test_its_scores_are_reached_by_name_in_a_saved_model(tmp_path):
    network = network_of((SMALL,), OTHER, {TARGET: 2}, head="fpn:channels=3")
    model = drawn(network.probability, 1)
    model.save(tmp_path / "x.keras")
    assert not foreign_classes(model)
    again = keras.saving.load_model(tmp_path / "x.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, OTHER, OTHER, 1)).astype(np.float32)
    np.testing.assert_array_equal(array(again(images)), array(model(images)))
    inner = again.get_layer("hybrid")
    scores = [inner.get_layer(f"block{number}_attention").output[1] for number in (1, 2)]
    image = BACKBONES.make(SMALL).scaled(images)
    for found in keras.Model(inner.inputs[0], scores)(image):
        assert found.shape == (2, HEADS, 25, 25)
        np.testing.assert_allclose(array(found).sum(-1), 1, rtol=1e-5)


def test_it_sees_the_whole_image_and_its_cost_is_counted(trunk):
    seen = sight(trunk)
    assert (seen.stride, seen.field, seen.map) == (16, np.inf, (5, 5, WIDTH))
    tokens = 25
    attention = 4 * tokens * WIDTH**2 + 2 * tokens**2 * WIDTH
    of_layers = 2 * (attention + 2 * tokens * WIDTH * MLP)
    steps = multiply_adds(trunk.get_layer("steps"))
    assert multiply_adds(trunk) == steps + tokens * 12 * WIDTH + of_layers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("heads=5", "hybrid: heads Value error, must divide width=768|heads must divide width=768"),
        ("base=nothing", "--backbone must be a backbone"),
        ("stride=7", "stride"),
        ("depth=0", "depth must be greater"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(UserError, match=said):
        BACKBONES.make(f"hybrid:{options}")


def test_a_base_without_such_a_map_is_refused():
    with pytest.raises(UserError, match=r"stride=64. It has: 4, 8, 16, 32\."):
        BACKBONES.make("hybrid:base=steps,stride=64").trunk(64)


def test_a_random_transformer_is_not_frozen_unasked():
    choices = {"backbone": "hybrid", "recipe": "frozen", "source": ["imagenet"]}
    with pytest.raises(UserError, match="leave the transformer of hybrid random"):
        resolve(make_experiment(choices))
    resolve(make_experiment({**choices, "random_trunk": True}))


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="exports need TensorFlow")
@pytest.mark.parametrize("text", [SMALL, "steps:stem=conv4", "steps:stem=pool2"])
def test_its_model_goes_to_onnx(text, tmp_path):
    from cxrkeras.data.preparation import Preparation
    from cxrkeras.serving.export.portable import run_onnx, write_onnx
    from cxrkeras.serving.export.saved_model import Described

    side = 128
    model = network_of((text,), side, {TARGET: 2}).probability
    model.get_layer(TARGET).set_weights(
        [np.random.default_rng(0).normal(size=w.shape) for w in model.get_layer(TARGET).weights]
    )
    nothing = np.full(2, np.nan)
    described = Described(model, ("a", "b"), nothing, Preparation(image_size=side), {})
    write_onnx(described, tmp_path)
    images = np.random.default_rng(0).uniform(0, 255, (3, side, side, 1)).astype(np.float32)
    np.testing.assert_allclose(run_onnx(tmp_path, images), array(model(images)), atol=1e-5)
