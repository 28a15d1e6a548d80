"""What every average of weights must do, against the weights after each step by hand."""

import keras
import numpy as np
import pytest

from cxrkeras.models.losses.bce import Part as BCE
from cxrkeras.registry import AVERAGES, OPTIMIZERS
from cxrkeras.training.fitting.averaging import averaging
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from tests.cxrkeras.training.fitting.fits import head_and_batches, killed_fit
from tests.parts.each import each, made

pytestmark = pytest.mark.jax
STEPS, EPOCHS = 3, 4


def stepped(average):
    """Weights after each of twelve steps, and what an average makes of them, at every step."""
    kernel = keras.Variable(np.float32([[1.0, -2.0]]))
    still = keras.Variable(np.float32([3.0]))
    optimizer = averaging(OPTIMIZERS.make("sgd").build(), average)
    optimizer.build([kernel, still])
    optimizer.learning_rate.assign(0.1)
    optimizer.count(*average.counted(STEPS, EPOCHS))
    rng, seen, means = np.random.default_rng(0), [], []
    for slopes in rng.normal(size=(STEPS * EPOCHS, 1, 2)).astype(np.float32):
        optimizer.apply([keras.ops.convert_to_tensor(slopes)], [kernel])
        seen.append(kernel.numpy())
        optimizer.write_mean()
        means.append(kernel.numpy())
        assert still.numpy() == 3  # no gradient reaches it
        kernel.assign(seen[-1])
    return np.array(seen), np.array(means)


@each(AVERAGES)
def test_it_is_the_weighted_mean_of_the_weights_after_the_steps_that_count(part_id):
    average = made(part_id)
    first, every = average.counted(STEPS, EPOCHS)
    assert 1 <= first <= STEPS * EPOCHS
    assert every >= 1
    assert 0 <= average.keeps <= 1
    seen, means = stepped(average)
    for step in range(1, len(seen) + 1):
        counted = seen[first - 1 : step : every].astype(np.float64)
        if len(counted):
            weights = average.keeps ** np.arange(len(counted))[::-1]
            wanted = np.average(counted, axis=0, weights=weights)
        else:
            wanted = seen[step - 1]
        np.testing.assert_allclose(means[step - 1], wanted, rtol=2e-7)


@pytest.mark.parametrize("text", ["ema:0", "swa:start=0.99", "swa:0.9"])
def test_one_step_s_average_is_its_weights_to_the_bit(text):
    seen, means = stepped(AVERAGES.make(text))
    assert np.array_equal(means[-1], seen[-1])


def test_swa_counts_the_ends_of_the_epochs_after_its_start():
    assert AVERAGES.make("swa").counted(10, 4) == (40, 10)
    assert AVERAGES.make("swa:0.5").counted(10, 4) == (30, 10)
    assert AVERAGES.make("swa:0").counted(10, 4) == (10, 10)
    assert AVERAGES.make("swa:0.29").counted(1, 100) == (30, 1)  # 0.29 x 100 < 29 in floats


# test_trainer.py kills a fit with the mean over all steps.
@each(AVERAGES, slow={"all_steps", "swa"})
@pytest.mark.parametrize("patience", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_validated_fit_goes_on_to_the_same_bits(part_id, patience, tmp_path, monkeypatch):
    head, train = head_and_batches()
    trainer = Trainer(head, loss=BCE(), average=made(part_id))
    schedule = Schedule(EPOCHS, 1e-2, 1, 0.5, early_stopping=patience)

    def fit(**how):
        table = trainer.fit(train, train(range(1)), schedule, steps=3, seed=0, title="t", **how)
        return [table.to_numpy(), *head.get_weights()]

    whole = fit()
    again = killed_fit(fit, tmp_path / "state.npz", monkeypatch)
    assert all(map(np.array_equal, whole, again))


def test_validation_judges_what_is_kept_and_training_goes_on_from_what_learns():
    """An average of the last step changes nothing; one of all judges other weights."""
    how = {"steps": 3, "seed": 0, "title": "t"}
    schedule = Schedule(EPOCHS, 1e-2, 0, 0.5, early_stopping=EPOCHS)
    tables, ends = {}, {}
    for text in ("", "ema:0", "ema:0.9"):
        head, train = head_and_batches()
        average = AVERAGES.make(text) if text else None
        trainer = Trainer(head, loss=BCE(), average=average)
        tables[text] = trainer.fit(train, train(range(1)), schedule, **how)
        ends[text] = head.get_weights()
        logits = head(next(iter(train(range(1))))[0])
        assert logits["target"].shape[1] == 2
    assert tables["ema:0"].equals(tables[""])
    assert all(map(np.array_equal, ends["ema:0"], ends[""]))
    assert tables["ema:0.9"]["loss"].equals(tables[""]["loss"])
    assert not tables["ema:0.9"]["val_loss"].equals(tables[""]["val_loss"])
    assert not np.array_equal(ends["ema:0.9"][0], ends[""][0])
    held = Trainer(head, loss=BCE()).model.evaluate(train(range(1)), verbose=0, return_dict=True)
    assert held["loss"] == pytest.approx(tables["ema:0.9"]["val_loss"].min(), rel=1e-5)
