"""The trainer: every fit starts alike, batch-norm statistics against NumPy, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cxrkeras.models.losses import Loss
from cxrkeras.registry import LOSSES, PRESETS
from cxrkeras.training.averages.all_steps import Part as AllSteps
from cxrkeras.training.fitting.batch_norm import batch_norms, quicken_batch_norm
from cxrkeras.training.fitting.progress import EpochLines
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from data_prep.errors import UserError
from tests.cxrkeras.training.fitting.fits import killed_fit

SCHEDULE = Schedule(
    epochs=2, learning_rate=1e-2, plateau_patience=1, plateau_factor=0.5, early_stopping=0
)
rng = np.random.default_rng(0)
IMAGES = rng.uniform(0, 255, (20, 16, 16, 1)).astype(np.float32)
TARGETS = (rng.random((20, 2)) < 0.4).astype(np.float32)


def graph(seed=0) -> keras.Model:
    """Image -> {target: logits}, with batch-norm, a nested model and dropout in it."""
    keras.utils.set_random_seed(seed)
    inner_input = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(4, 3, name="conv")(inner_input)
    x = keras.layers.BatchNormalization(name="norm")(x)
    inner = keras.Model(inner_input, keras.layers.ReLU()(x), name="inner")
    image = keras.Input((16, 16, 1))
    x = keras.layers.GlobalAveragePooling2D()(inner(image))
    x = keras.layers.BatchNormalization(name="outer_norm")(x)
    x = keras.layers.Dropout(0.5, seed=seed)(x)
    return keras.Model(image, {"target": keras.layers.Dense(2, name="target")(x)})


def batches(targets=TARGETS, images=IMAGES, size=8):
    return tf.data.Dataset.from_tensor_slices((images, {"target": targets})).batch(size)


def epoch_by_epoch(**how):
    """What `Trainer.fit` takes: the same batches in every epoch."""
    return lambda epochs: batches(**how).repeat(len(epochs))


def fitted(trainer, logits, seed=1, validation=None, checkpoint=None, **changes):
    schedule = Schedule(**{**SCHEDULE.__dict__, **changes})
    how = {"steps": 3, "seed": seed, "title": "t", "checkpoint": checkpoint}
    table = trainer.fit(epoch_by_epoch(), validation, schedule, **how)
    return table, logits.get_weights()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def shared():
    """A trainer that fits again and again, and its logits."""
    logits = graph()
    return Trainer(logits, loss=LOSSES.make("bw_bce"), augment=PRESETS.make("study")), logits


def test_fits_start_alike_whatever_was_fitted_before(shared):
    trainer, logits = shared
    first_table, first = fitted(trainer, logits)
    _, other = fitted(trainer, logits, seed=2, epochs=3)
    trainer.settle(batches())
    again_table, again = fitted(trainer, logits)
    assert same(first, again)
    assert first_table.equals(again_table)
    assert not same(first, other)


def test_a_trainer_of_its_own_fits_to_the_same_bit(shared):
    trainer, logits = shared
    fitted(trainer, logits, seed=7)
    trainer.settle(batches())
    table, weights = fitted(trainer, logits)
    fresh_logits = graph()
    fresh = Trainer(fresh_logits, loss=LOSSES.make("bw_bce"), augment=PRESETS.make("study"))
    fresh_table, fresh_weights = fitted(fresh, fresh_logits)
    assert same(weights, fresh_weights)
    assert table.equals(fresh_table)


def test_the_seed_moves_dropout_and_augmentation(shared):
    trainer, logits = shared
    still = {"epochs": 1, "learning_rate": 1e-12}  # the loss then differs by the draws alone
    losses = [fitted(trainer, logits, seed, **still)[0]["loss"].item() for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_the_history_has_the_contract_s_columns(shared):
    trainer, logits = shared
    wanted = ["loss", "binary_accuracy", "mae", "learning_rate"]
    wanted += ["val_loss", "val_binary_accuracy", "val_mae"]
    for patience in (0, 1):
        table, _ = fitted(trainer, logits, validation=batches(), plateau_patience=patience)
        assert sorted(table) == sorted(["epoch", *wanted])
        assert table["epoch"].tolist() == [1, 2]
    assert table["learning_rate"].iloc[0] == pytest.approx(1e-2)


def test_early_stopping_keeps_the_best_weights(shared):
    trainer, logits = shared
    upside_down = batches(1 - TARGETS)  # what is learned makes this validation worse
    table, weights = fitted(
        trainer, logits, validation=upside_down, epochs=9, early_stopping=2, learning_rate=0.1
    )
    best = int(table["val_loss"].idxmin())
    assert len(table) == best + 3 < 9
    _, at_best = fitted(trainer, logits, validation=upside_down, epochs=best + 1, learning_rate=0.1)
    assert same(weights, at_best)


@pytest.mark.parametrize(
    ("patience", "killed"),
    [
        *[(0, 4), (2, 2), (2, 9)],
        *(pytest.param(*row, marks=pytest.mark.slow) for row in ((0, 1), (2, 1), (9, 9))),
        # On JAX no early stopping: this validation gets worse with TensorFlow's draws only.
        pytest.param(9, 4, marks=pytest.mark.jax),
    ],
)
def test_a_killed_fit_goes_on_to_the_same_bits(shared, tmp_path, monkeypatch, patience, killed):
    """Learning rate, early stopping, best weights, random streams: all as if nothing had been."""
    trainer, logits = shared
    how = {
        "validation": batches(1 - TARGETS),  # what is learned makes it worse
        "epochs": 7,
        "early_stopping": patience,
        "learning_rate": 0.1,
    }
    table, weights = fitted(trainer, logits, **how)
    assert (len(table) < 7) == (patience == 2)
    assert table["learning_rate"].nunique() > 1
    begin = EpochLines.on_epoch_begin

    def kill(lines, epoch, logs=None):
        if epoch == killed:
            raise KeyboardInterrupt
        begin(lines, epoch, logs)

    path = tmp_path / "state.npz"
    with monkeypatch.context() as patch:
        patch.setattr(EpochLines, "on_epoch_begin", kill)
        if killed < len(table):
            with pytest.raises(KeyboardInterrupt):
                fitted(trainer, logits, checkpoint=path, **how)
        else:  # killed after the last epoch
            fitted(trainer, logits, checkpoint=path, **how)
    fitted(trainer, logits, seed=5)
    again_table, again = fitted(trainer, logits, checkpoint=path, **how)
    assert again_table.equals(table)
    assert same(again, weights)


def test_a_checkpoint_of_something_else_is_not_gone_on_from(shared, tmp_path):
    trainer, logits = shared
    table, _ = fitted(trainer, logits)
    for content in (b"", b"PK\x03\x04 half"):
        (path := tmp_path / "state.npz").write_bytes(content)
        assert fitted(trainer, logits, checkpoint=path)[0].equals(table)


@pytest.mark.jax
def test_settled_statistics_are_those_of_the_batches_and_no_weight_moves(shared):
    trainer, logits = shared
    fitted(trainer, logits)
    weights = [v.numpy() for v in logits.trainable_variables]
    trainer.settle(batches().take(2))
    assert same(weights, [v.numpy() for v in logits.trainable_variables])

    inner = logits.get_layer("inner")
    response = keras.ops.convert_to_numpy(inner.get_layer("conv")(IMAGES[:16])).astype(float)
    norm = inner.get_layer("norm")
    # Two batches of 8: the law of total variance pools them to the moments of all 16 images.
    np.testing.assert_allclose(norm.moving_mean, response.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, response.var((0, 1, 2)), rtol=1e-4)


def test_settling_works_at_any_momentum_and_behind_a_nested_norm():
    for steps in (1, 10**6):  # momentum 0.7 and 0.99
        logits = graph()
        quicken_batch_norm(logits, steps)
        trainer = Trainer(logits, loss=LOSSES.make("bce"))
        trainer.settle(batches(size=10))
        inner = keras.Model(logits.input, logits.get_layer("outer_norm").input)
        parts = []
        for half in (IMAGES[:10], IMAGES[10:]):
            parts.append(keras.ops.convert_to_numpy(inner(half, training=True)).astype(float))
        values = np.concatenate(parts)
        norm = logits.get_layer("outer_norm")
        np.testing.assert_allclose(norm.moving_mean, values.mean(0), rtol=1e-3)
        np.testing.assert_allclose(norm.moving_variance, values.var(0), rtol=1e-3)


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.7), (20, 0.8), (100, 0.96), (10**6, 0.99)])
def test_batch_norm_forgets_within_an_epoch_and_never_slower_than_it_did(steps, momentum):
    logits = graph()
    quicken_batch_norm(logits, steps)
    found = {layer.name: layer.momentum for layer in batch_norms(logits)}
    assert found == {"norm": pytest.approx(momentum), "outer_norm": pytest.approx(momentum)}


@pytest.mark.parametrize("value", [np.nan, 3e38])
def test_a_loss_that_is_nan_or_infinite_is_refused_with_the_rate(value):
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(2, kernel_initializer="ones", name="target")
    trainer = Trainer(keras.Model(inputs, {"target": dense(inputs)}), loss=LOSSES.make("bce"))
    features = np.full((20, 4), value, np.float32)  # four times 3e38 is infinite
    nothing = epoch_by_epoch(targets=np.zeros((20, 2), np.float32), images=features)
    with pytest.raises(UserError, match=r"epoch 1\. Lower --learning-rate \(it was 0\.01\)"):
        trainer.fit(nothing, None, SCHEDULE, steps=3, seed=0, title="t")


class Scaled(keras.layers.Layer):
    """A loss with two weights: a temperature that learns, and counts that are told."""

    def build(self, targets_shape, logits_shape):
        labels = targets_shape[-1]
        self.heat = self.add_weight(shape=(labels,), initializer="ones", name="heat")
        shape = (labels, 2)
        self.counts = self.add_weight(shape=shape, initializer="ones", trainable=False, name="n")

    def call(self, targets, logits):
        scores = logits * self.heat + keras.ops.log(self.counts[:, 0] / self.counts[:, 1])
        return keras.ops.mean(keras.losses.binary_crossentropy(targets, scores, from_logits=True))


class OfScaled(Loss):
    """The loss part around it."""

    def layer(self):
        return Scaled()


@pytest.mark.jax
def test_a_loss_trains_weights_of_its_own_and_goes_on_with_them(tmp_path, monkeypatch):
    heads = {"one": small_head().get_layer("target"), "two": keras.layers.Dense(2, name="two")}
    inputs = keras.Input((4,))
    logits = keras.Model(inputs, {name: layer(inputs) for name, layer in heads.items()})
    trainer = Trainer(logits, loss=OfScaled())
    told = {name: np.float32([[3, 5], [2, 7]]) for name in heads}
    images = tf.data.Dataset.from_tensor_slices((FEATURES, dict.fromkeys(heads, TARGETS)))
    path, schedule = tmp_path / "state.npz", Schedule(**{**SCHEDULE.__dict__, "epochs": 4})

    def fit(**how):
        train = lambda epochs: images.batch(8).repeat(len(epochs))  # noqa: E731
        how = {"steps": 3, "seed": 0, "title": "t", "counts": told} | how
        table = trainer.fit(train, None, schedule, **how)
        return table, [variable.numpy() for variable in trainer.model.variables]

    table, whole = fit()
    np.testing.assert_allclose(table["loss"], table["one_loss"] + table["two_loss"], rtol=1e-5)
    for layer in trainer.model.loss_layers.values():
        assert (np.abs(layer.heat.numpy() - 1) > 1e-3).all()
        assert np.array_equal(layer.counts.numpy(), told["one"])
    assert len(logits.weights) == 4  # the net has none of them
    again_table, again = killed_fit(fit, path, monkeypatch)
    assert same(again, whole)
    assert again_table.equals(table)


def small_head(seed=0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    return keras.Model(inputs, {"target": keras.layers.Dense(2, name="target")(inputs)})


FEATURES = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)


@pytest.mark.jax
def test_averaging_ends_with_the_mean_of_the_weights_after_each_step(monkeypatch):
    head, seen = small_head(), []
    trainer = Trainer(head, loss=LOSSES.make("bce"), unsteered=AllSteps())
    fit = trainer.model.fit
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(head.get_weights())
    )

    def recording(*args, callbacks, **kwargs):
        return fit(*args, callbacks=[record, *callbacks], **kwargs)

    monkeypatch.setattr(trainer.model, "fit", recording)
    # An epoch is one step, since no backend shows its weights within an epoch but TensorFlow.
    how = {"steps": 1, "seed": 0, "title": "t"}
    schedule = Schedule(**{**SCHEDULE.__dict__, "epochs": 6})
    train = lambda epochs: batches(images=FEATURES).repeat(2)  # noqa: E731
    trainer.fit(train, None, schedule, **how)
    assert len(seen) == 6
    for kernel, steps in zip(head.get_weights(), zip(*seen, strict=True), strict=True):
        assert np.array_equal(kernel, np.float32(np.mean(np.float64(steps), axis=0)))

    seen.clear()
    trainer.fit(train, batches(images=FEATURES), schedule, **how)
    assert same(head.get_weights(), seen[-1])  # a steered fit ends where it ends


@pytest.mark.jax
def test_the_mean_loses_nothing_to_rounding_over_many_steps():
    head = small_head()
    (kernel, _), still = head.get_weights(), {"epochs": 1, "learning_rate": 1e-20}
    trainer = Trainer(head, loss=LOSSES.make("bce"), unsteered=AllSteps())
    schedule = Schedule(**{**SCHEDULE.__dict__, **still})
    train = lambda epochs: batches(images=FEATURES).repeat()  # noqa: E731
    trainer.fit(train, None, schedule, steps=300, seed=0, title="t")
    assert np.array_equal(head.get_weights()[0], kernel)
    total = np.cumsum(np.tile(kernel.ravel(), (300, 1)), axis=0, dtype=np.float32)[-1]
    assert not np.array_equal(total / np.float32(300), kernel.ravel())  # a plain sum would


@pytest.mark.jax
def test_a_killed_fit_goes_on_to_the_same_mean(tmp_path, monkeypatch):
    head = small_head()
    trainer = Trainer(head, loss=LOSSES.make("bce"), unsteered=AllSteps())
    path = tmp_path / "state.npz"

    def fit(**how):
        schedule = Schedule(**{**SCHEDULE.__dict__, "epochs": 4})
        train = epoch_by_epoch(images=FEATURES)
        trainer.fit(train, None, schedule, steps=3, seed=0, title="t", **how)
        return head.get_weights()

    whole = fit()
    assert same(killed_fit(fit, path, monkeypatch), whole)
    assert same(fit(checkpoint=path), whole)  # killed after its last epoch
