"""Losses and optimisers that change with the epochs: deferred weights, AUC margin with PESG."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from cxrkeras.models.losses.shared.pesg import PESG
from cxrkeras.registry import LOSSES
from cxrkeras.training.averages.all_steps import Part as AllSteps
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from tests.cxrkeras.training.fitting.fits import TARGETS, head_and_batches, killed_fit

COUNTS = {"target": np.stack([TARGETS.sum(axis=0), (1 - TARGETS).sum(axis=0)], axis=1)}
SCHEDULE = Schedule(
    epochs=4, learning_rate=0.05, plateau_patience=1, plateau_factor=0.5, early_stopping=0
)


@pytest.mark.jax
@pytest.mark.parametrize("loss", ["auc_margin", "ldam:margin=0.5,defer=0.5,beta=0.9"])
def test_a_fit_leaves_nothing_behind_and_goes_on_where_it_was_killed(loss, tmp_path, monkeypatch):
    logits, train = head_and_batches()
    trainer = Trainer(logits, loss=LOSSES.make(loss))

    def fit(**how):
        how = {"steps": 3, "seed": 0, "title": "t", "counts": COUNTS} | how
        table = trainer.fit(train, None, SCHEDULE, **how)
        state = [*trainer.model.variables, *trainer.model.optimizer.variables]
        return table, [np.asarray(keras.ops.convert_to_numpy(v)) for v in state]

    table, whole = fit()
    again_table, again = fit()
    assert again_table.equals(table)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    resumed_table, resumed = killed_fit(fit, tmp_path / "state.npz", monkeypatch)
    assert resumed_table.equals(table)
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))
    (layer,) = trainer.model.loss_layers.values()
    if loss == "auc_margin":
        assert (keras.ops.convert_to_numpy(layer.alpha) > 0).all()
        assert table["learning_rate"].nunique() == 1
    else:
        assert float(keras.ops.convert_to_numpy(layer.progress)) == 1


def test_weights_that_begin_late_decide_where_a_small_head_ends():
    """The mean over all steps would be that of two losses, and the curve is of the last."""
    inputs = keras.Input((1,))
    logits = keras.Model(inputs, {"target": keras.layers.Dense(1, name="target")(inputs)})
    loss = LOSSES.make("ldam:margin=0,defer=0.8,beta=0.9999")
    trainer = Trainer(logits, loss=loss, unsteered=AllSteps())
    truth = (np.arange(20) < 2).astype(np.float32)[:, None]
    nothing = np.zeros_like(truth)
    batches = tf.data.Dataset.from_tensor_slices((nothing, {"target": truth})).batch(20)
    trainer.fit(
        lambda epochs: batches.repeat(30 * len(epochs)),
        None,
        Schedule(10, 0.1, plateau_patience=0, plateau_factor=0.1, early_stopping=0),
        steps=30,
        seed=0,
        title="t",
        counts={"target": np.array([[2, 18]], np.float32)},
    )
    score = expit(logits.predict(nothing[:1], verbose=0)["target"])
    undone = loss.distortion([truth], [np.arange(20)[None]]).undistort(score)
    assert undone == pytest.approx(0.1, abs=0.01)


@pytest.mark.jax
def test_pesg_is_its_equation():
    """Against NumPy over two epochs of three steps; `free` is held by nothing."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=3).astype(np.float32)
    held, free = (keras.Variable(start, name=name) for name in ("held", "free"))
    optimizer = PESG(0.1, momentum=0.5, epoch_decay=0.3, decay=0.2)
    optimizer.exclude_from_weight_decay(var_names=["free"])
    optimizer.build([held, free])
    wanted = {"held": start.astype(float), "free": start.astype(float)}
    moved, anchor = {"held": 0.0, "free": 0.0}, None
    for _ in range(2):
        seen = []
        for _ in range(3):
            gradient = rng.normal(size=3).astype(np.float32)
            optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, [held, free])
            for name, weight in wanted.items():
                pull = 0.0
                if name == "held":
                    pull = 0.2 * weight + (0 if anchor is None else 0.3 * (weight - anchor))
                moved[name] = 0.5 * moved[name] + gradient + pull
                wanted[name] = weight - 0.1 * moved[name]
            seen.append(wanted["held"])
        anchor = np.mean(seen, axis=0)
        optimizer.end_epoch(3)
    for variable in (held, free):
        found = keras.ops.convert_to_numpy(variable.value)
        np.testing.assert_allclose(found, wanted[variable.name], rtol=1e-5)
