"""The losses and the watched metrics against NumPy, on TensorFlow and (in a subprocess) on JAX."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.models.losses.shared.bce import BatchWeightedBCE
from cxrkeras.models.metrics import MaskedBinaryAccuracy, MaskedMAE
from cxrkeras.registry import LOSSES
from tests.cxrkeras.models.losses.losses_by_hand import value_and_gradient

pytestmark = pytest.mark.jax
NAMES = ["bce", "bw_bce", "bw_bce_per_label"]
ON_JAX = keras.backend.backend() == "jax"
EXAMPLES = 8 if ON_JAX else 20  # JAX compiles every operation anew for each shape
SHAPES = st.sampled_from([(2, 5), (6, 3)] if ON_JAX else [(1, 1), (2, 5), (3, 1), (6, 3)])
LOGITS = st.floats(-100, 100, width=32, allow_subnormal=False)  # JAX flushes these to zero


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def double_loop(name, targets, logits):
    """The definitions, entry by entry, in float64."""
    images, labels = targets.shape
    value, known_entries = 0.0, 0
    for m in range(images):
        for k in range(labels):
            if targets[m, k] < 0:
                continue
            known_entries += 1
            pool = targets[:, k] if name == "bw_bce_per_label" else targets.ravel()
            known = pool[pool >= 0]
            p, n = known.sum(), (1 - known).sum()
            b_p = 1.0 if name == "bce" else (p + n) / p if p else 0.0
            b_n = 1.0 if name == "bce" else (p + n) / n if n else 0.0
            y, f = float(targets[m, k]), float(logits[m, k])
            value += b_p * y * softplus(-f) + b_n * (1 - y) * softplus(f)
    return value / max(known_entries, 1) if name == "bce" else value


@st.composite
def batches(draw, soft=True):
    shape = draw(SHAPES)
    values = [MASKED, 0.0, 1.0] + ([0.25, 0.7] if soft else [])
    targets = draw(arrays(np.float32, shape, elements=st.sampled_from(values)))
    logits = draw(arrays(np.float32, shape, elements=LOGITS))
    return targets, logits


@pytest.mark.parametrize("name", NAMES)
@given(batch=batches())
@settings(max_examples=EXAMPLES, deadline=None)
def test_equals_a_plain_double_loop(name, batch):
    targets, logits = batch
    value, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    assert value == pytest.approx(double_loop(name, *batch), rel=1e-6, abs=1e-30)
    assert np.isfinite(gradient).all()
    assert (gradient[targets < 0] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope_of_the_double_loop(name):
    rng = np.random.default_rng(0)
    targets = rng.choice([MASKED, 0, 1, 0.3], (4, 3))
    logits = rng.normal(0, 2, (4, 3)).astype(np.float32).astype(float)
    _, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
    for place in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[place] = 1e-5
        rise = double_loop(name, targets, logits + step) - double_loop(name, targets, logits - step)
        assert gradient[place] == pytest.approx(rise / 2e-5, rel=1e-4, abs=1e-6)


@given(shape=SHAPES.filter(lambda shape: shape[1] > 1), data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_zero_logits_give_the_closed_form(shape, data):
    targets = data.draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0])))
    targets[0, :2] = 0, 1  # both classes occur
    value, _ = value_and_gradient(BatchWeightedBCE(), targets, np.zeros(shape))
    assert value == pytest.approx(2 * targets.size * math.log(2), rel=1e-6)


@pytest.mark.parametrize("per_label", [False, True])
@pytest.mark.parametrize("only", [0.0, 1.0])
def test_a_batch_of_one_class_is_plain_cross_entropy(per_label, only):
    targets = np.full((3, 4), only)
    logits = np.linspace(-3, 3, 12).reshape(3, 4)
    value, gradient = value_and_gradient(BatchWeightedBCE(per_label), targets, logits)
    probability = 1 / (1 + np.exp(-logits))
    assert value == pytest.approx(-np.log(np.abs(1 - only - probability)).sum(), rel=1e-6)
    np.testing.assert_allclose(gradient, probability - only, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_batch_is_exactly_nothing(name):
    value, gradient = value_and_gradient(
        LOSSES.make(name).layer(), np.full((4, 3), MASKED), np.linspace(-100, 100, 12).reshape(4, 3)
    )
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_targets_are_masked_too(name):
    logits = np.array([[1.0, -2.0], [0.5, 3.0]])
    masked = value_and_gradient(LOSSES.make(name).layer(), [[1, MASKED], [MASKED, 0]], logits)
    absent = value_and_gradient(LOSSES.make(name).layer(), [[1, np.nan], [np.nan, 0]], logits)
    assert masked[0] == absent[0]
    np.testing.assert_array_equal(masked[1], absent[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_stable_far_out(name, logit):
    targets = np.array([[0.0, 1.0], [1.0, 0.0]])
    value, gradient = value_and_gradient(LOSSES.make(name).layer(), targets, np.full((2, 2), logit))
    assert value == pytest.approx({"bce": 50.0}.get(name, 400.0), rel=1e-6)
    assert np.isfinite(gradient).all()


@given(batch=batches(soft=False), random=st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_order_of_images_and_of_labels_does_not_matter(batch, random):
    targets, logits = batch
    rows, columns = (random.sample(range(n), n) for n in targets.shape)
    for name in NAMES:
        before, _ = value_and_gradient(LOSSES.make(name).layer(), targets, logits)
        after, _ = value_and_gradient(
            LOSSES.make(name).layer(), targets[rows][:, columns], logits[rows][:, columns]
        )
        assert after == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("per_label", [False, True])
def test_each_class_weighs_the_same(per_label):
    # At logit 0 every entry pulls with half its weight, so the pulls up and down must cancel.
    targets = np.array([[1, 0, MASKED], [0, 0, 1], [0, 1, 0], [0, 0, 0]])
    _, gradient = value_and_gradient(BatchWeightedBCE(per_label), targets, np.zeros((4, 3)))
    pull = gradient.sum(axis=0 if per_label else None)
    np.testing.assert_allclose(pull, 0, atol=1e-5)
    assert gradient[targets == 1].sum() < -1


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[:-1]), NAMES[-1]]
)
def test_fit_save_and_load(name, tmp_path):
    keras.utils.set_random_seed(0)  # where a test before it made TensorFlow deterministic
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    metrics = [MaskedBinaryAccuracy(), MaskedMAE()]
    model.compile("sgd", loss=LOSSES.make(name).layer(), metrics=metrics)
    x = np.random.default_rng(0).normal(size=(6, 2))
    y = np.array([[0, 1, MASKED], [1, MASKED, 0]] * 3)
    history = model.fit(x, y, batch_size=6, verbose=0).history
    assert set(history) == {"loss", "binary_accuracy", "mae"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    saved, own = (loss.get_config() for loss in (loaded.loss, LOSSES.make(name).layer()))
    assert {**saved, "name": ""} == {**own, "name": ""}
    np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0))


def test_outputs_add_up_and_a_masked_output_adds_nothing():
    x = keras.Input((2,))
    model = keras.Model(x, {n: keras.layers.Dense(2, name=n)(x) for n in "ab"})
    model.compile("sgd", loss={n: BatchWeightedBCE() for n in "ab"})
    rng = np.random.default_rng(0)
    features, known = rng.normal(size=(8, 2)), rng.integers(0, 2, (8, 2)).astype("float32")
    before = [np.asarray(w) for w in model.get_layer("b").get_weights()]
    alone = BatchWeightedBCE()(known, model.predict(features, verbose=0)["a"])
    history = model.fit(
        features, {"a": known, "b": np.full((8, 2), MASKED)}, batch_size=8, verbose=0
    )
    assert history.history["loss"][0] == pytest.approx(float(alone), rel=1e-5)
    for old, new in zip(before, model.get_layer("b").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@given(seen=st.lists(batches(), min_size=1, max_size=3))
@settings(max_examples=EXAMPLES, deadline=None)
def test_watched_metrics_equal_numpy(seen):
    accuracy, mae = MaskedBinaryAccuracy(), MaskedMAE()
    for targets, logits in seen:
        accuracy.update_state(targets, logits)
        mae.update_state(targets, logits)
    y = np.concatenate([targets[targets >= 0] for targets, _ in seen])
    f = np.concatenate([logits[targets >= 0] for targets, logits in seen]).astype(float)
    right = ((y > 0.5) == (f > 0)).mean() if y.size else 0
    error = np.abs(y - 1 / (1 + np.exp(-f))).mean() if y.size else 0
    assert float(accuracy.result()) == pytest.approx(right, rel=1e-5)
    assert float(mae.result()) == pytest.approx(error, rel=1e-5, abs=1e-7)


def test_watched_metrics_weigh_images():
    targets, logits = np.array([[1.0, 0.0], [1.0, MASKED]]), np.array([[2.0, 2.0], [-1.0, 5.0]])
    metric = MaskedBinaryAccuracy()
    metric.update_state(targets, logits, sample_weight=np.array([3.0, 1.0]))
    assert float(metric.result()) == pytest.approx(3 / 7)
