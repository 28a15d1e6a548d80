"""When batch-norm statistics are estimated anew, and how validation patients are chosen."""

import keras
import numpy as np
import pytest
from scipy.special import expit

from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Features, Part, labelled_batches
from cxrkeras.evaluation.scores.operating import achieved
from cxrkeras.registry import HEADS
from cxrkeras.training.fitting import learner as learning
from cxrkeras.training.fitting.batch_norm import batch_norms
from cxrkeras.training.fitting.learner import Learner, validation_rows
from cxrkeras.training.fitting.trainer import Trainer
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError


def classified(features, name, labels, dropout=0.5):
    """Logits of the usual head."""
    return HEADS.make("gap").classify(features, {name: labels}, dropout=dropout, seed=0)[name]


@pytest.mark.parametrize(
    ("batch_norm", "few_below", "settled"),
    [
        ("auto", 4, 1),
        ("auto", 3, 0),
        ("never", 4, 0),
        pytest.param("always", 3, 1, marks=pytest.mark.slow),
    ],
)
def test_statistics_are_settled_as_the_option_says(
    experiment, monkeypatch, batch_norm, few_below, settled
):
    calls = []
    monkeypatch.setattr(Trainer, "settle", lambda self, batches: calls.append(batches))
    monkeypatch.setattr(learning, "_FEW_STEPS", few_below)
    inputs = keras.Input((4,))
    logits = keras.Model(
        inputs, {"h": classified(keras.layers.BatchNormalization()(inputs), "head_h", 1)}
    )
    features = Features(np.zeros((20, 4), np.float32))
    part = Part("h", features, np.arange(20), Targets(np.zeros((20, 1), np.float32)))
    one = experiment(batch_norm=batch_norm)
    learner = Learner(logits, resolve(one), [part])
    learner.learn([part], [], epochs=1, learning_rate=1e-3, seed=0, title="t")  # 3 steps
    assert len(calls) == settled
    if settled:  # in whole batches
        assert [len(inputs) for inputs, _ in calls[0]] == [8, 8]
    momentum = {layer.momentum for layer in batch_norms(logits)}
    assert momentum == {0.99 if batch_norm == "never" else 0.7}


@pytest.mark.jax
@pytest.mark.parametrize("patience", [0, pytest.param(8, marks=pytest.mark.slow)])
def test_an_average_is_validated_and_kept_with_statistics_of_its_own(experiment, patience):
    rng = np.random.default_rng(0)
    features = rng.normal(1, 2, size=(48, 4)).astype(np.float32)
    targets = Targets((features[:, :1] > 1).astype(np.float32))
    train = Part("h", Features(features), np.arange(32), targets[np.arange(32)])
    held = Part("h", Features(features), np.arange(32, 48), targets[np.arange(32, 48)])
    inputs = keras.Input((4,))
    normed = keras.layers.BatchNormalization(name="norm")(
        keras.layers.Dense(3, name="first")(inputs)
    )
    model = keras.Model(inputs, {"h": classified(normed, "head_h", 1, dropout=0)})
    one = experiment(loss="bce", average="ema:0.9", early_stopping=patience)
    learner = Learner(model, resolve(one), [train])
    how = {"epochs": 4, "learning_rate": 1e-2, "seed": 0, "title": "t"}
    table = learner.learn([train], [held], **how)
    norm, response = model.get_layer("norm"), model.get_layer("first")(features[:32])
    response = keras.ops.convert_to_numpy(response).astype(float)
    np.testing.assert_allclose(norm.moving_mean, response.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, response.var(axis=0), rtol=1e-4)
    judged = learner._trainer.model.evaluate(
        labelled_batches([held], one.batch_size), verbose=0, return_dict=True
    )
    judged_then = table["val_loss"].min() if patience else table["val_loss"].iloc[-1]
    assert judged["loss"] == pytest.approx(judged_then, rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("bce", "bw_bce")),
        "bw_bce_per_label",
    ],
)
def test_a_short_averaged_fit_calls_a_rare_label_as_its_prevalence_says(experiment, loss):
    """From a bias of 0 it ended above the corrected threshold in every image, or below."""
    rng = np.random.default_rng(0)
    truth = rng.random((800, 3)) < [0.3, 0.1, 0.03]
    features = rng.normal(size=(800, 64)).astype(np.float32)
    features[:, :3] += 1.5 * truth
    features = (features - features[:400].mean(axis=0)) / features[:400].std(axis=0)
    targets = Targets(truth.astype(np.float32))
    part = Part("h", Features(features), np.arange(400), targets[np.arange(400)])
    inputs = keras.Input((64,))
    model = keras.Model(inputs, {"h": classified(inputs, "head_h", 3)})
    one = experiment(loss=loss, batch_size=16)
    learner = Learner(model, resolve(one), [part], small=True)
    learner.learn([part], [], epochs=10, learning_rate=1e-4, seed=0, title="t")
    values = part.targets.values
    threshold = learner.distortions([part])["h"].distort(values.mean(axis=0))
    called = expit(model.predict(features[400:], verbose=0)["h"]) > threshold
    assert ((called.mean(axis=0) > 0.25) & (called.mean(axis=0) < 0.75)).all()
    reached = achieved(truth[400:, 0], called[:, 0])
    assert reached["sensitivity"] + reached["specificity"] > 1.2


def test_each_head_starts_at_its_own_prior_and_its_parts_count_alike(experiment):
    """Two parts of one head, the short one drawn as often; another head beside them."""
    features = Features(np.zeros((60, 4), np.float32))
    counts = {"long": ("h", 40, 4), "short": ("h", 10, 5), "other": ("g", 10, 1)}
    parts = []
    for head, rows, positives in counts.values():
        values = (np.arange(rows) < positives).astype(np.float32)[:, None]
        parts.append(Part(head, features, np.arange(rows), Targets(values)))
    inputs = keras.Input((4,))
    outputs = {head: classified(inputs, f"head_{head}", 1, dropout=0) for head in "hg"}
    model = keras.Model(inputs, outputs)
    learner = Learner(model, resolve(experiment(loss="bce")), parts)
    learner.learn(parts, [], epochs=1, learning_rate=1e-12, seed=0, title="t")
    found = {head: model.get_layer(f"head_{head}").bias.numpy() for head in "hg"}
    np.testing.assert_allclose(found["h"], np.log(24 / 56), atol=1e-6)
    np.testing.assert_allclose(found["g"], np.log(1 / 9), atol=1e-6)


def test_validation_takes_whole_patients_and_none_at_zero():
    patients = np.repeat([f"p{n}" for n in range(20)], 3)
    targets = np.random.default_rng(0).integers(0, 2, (60, 2)).astype(float)
    held = validation_rows(targets, patients, 0.15, 0, what="x")
    assert held.sum() == 9
    assert not set(patients[held]) & set(patients[~held])
    assert not validation_rows(targets, patients, 0.0, 0, what="x").any()


def test_one_patient_can_t_be_shared_out():
    with pytest.raises(UserError, match=r"5 training images of fold 2 .* --validation-fraction"):
        validation_rows(np.zeros((5, 1)), np.array(["p"] * 5), 0.15, 0, what="fold 2")
