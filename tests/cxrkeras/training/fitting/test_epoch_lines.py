"""Progress: a line per epoch, a bar on a terminal, and a cursor that always comes back."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from cxrkeras.registry import LOSSES
from cxrkeras.training.fitting import trainer as fit
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from data_prep import progress, say

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
SCHEDULE = Schedule(
    epochs=2, learning_rate=0.1, plateau_patience=0, plateau_factor=0.5, early_stopping=0
)


@pytest.fixture
def said(monkeypatch, request):
    """What is written; a terminal or none, as the test's parameter says."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=request.param, width=100, highlight=False)
    monkeypatch.setattr(progress, "console", console)
    monkeypatch.setattr(say, "console", console)
    return text


def trainer() -> Trainer:
    inputs = keras.Input((4,))
    return Trainer(
        keras.Model(inputs, {"h": keras.layers.Dense(1, name="h")(inputs)}), loss=LOSSES.make("bce")
    )


def batches():
    rows = (np.ones((12, 4), np.float32), {"h": np.ones((12, 1), np.float32)})
    return tf.data.Dataset.from_tensor_slices(rows).batch(4)


def epochs_of(epochs: range):
    return batches().repeat(len(epochs))


@pytest.mark.parametrize("said", [False], indirect=True)
def test_without_a_terminal_each_epoch_is_a_line(said):
    trainer().fit(epochs_of, batches(), SCHEDULE, steps=3, seed=0, title="fold 1/5")
    lines = said.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "fold 1/5, epoch 1/2",
        "fold 1/5, epoch 2/2",
    ]
    assert all(" loss " in line and "validation loss " in line for line in lines)
    assert "learning rate 0.1" in lines[0]
    assert "\x1b" not in said.getvalue()


@pytest.mark.parametrize("said", [True], indirect=True)
def test_on_a_terminal_a_bar_runs_and_goes(said):
    trainer().fit(epochs_of, None, SCHEDULE, steps=3, seed=0, title="fold 1/5")
    assert "━" in said.getvalue()
    assert said.getvalue().count(HIDDEN) == said.getvalue().count(SHOWN) == 2


@pytest.mark.parametrize("said", [True], indirect=True)
def test_ctrl_c_gives_the_cursor_back(said, monkeypatch):
    def stop(batch, logs):
        raise KeyboardInterrupt

    interrupt = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    monkeypatch.setattr(fit.Trainer, "_callbacks", lambda *args, **kwargs: [interrupt])
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(epochs_of, None, SCHEDULE, steps=3, seed=0, title="fold 1/5")
    assert said.getvalue().count(HIDDEN) == said.getvalue().count(SHOWN) == 1
