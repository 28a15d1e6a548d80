"""The validation AUROC and mean loss of an epoch's line, against scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.registry import LOSSES
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from cxrkeras.training.watching.validation import Seen, as_logs
from data_prep.verbosity import DETAILED, said_as
from tests.cxrkeras.training.fitting.fits import FEATURES, TARGETS, head_and_batches

pytestmark = pytest.mark.jax
rng = np.random.default_rng(0)


def seen(targets, logits, size=4) -> Seen:
    """What is known after some batches."""
    found = Seen()
    for first in range(0, len(targets), size):
        rows = slice(first, first + size)
        found.add({"loss": 1.0, **as_logs({"a": targets[rows]}, {"a": logits[rows]})})
    return found


@pytest.mark.parametrize("weighed", [False, True])
def test_the_auroc_is_scikit_learn_s_mean_over_labels_that_have_one(weighed):
    targets = (rng.random((30, 4)) < 0.4).astype(np.float32)
    targets[:, 2] = 0  # no positive
    targets[rng.random(targets.shape) < 0.2] = MASKED
    targets[0, 0] = 0.7  # a guess
    logits = rng.normal(size=(30, 8)).astype(np.float32)  # the second half: an uncertain class
    wanted = []
    for label in (0, 1, 3):
        known = np.isin(targets[:, label], (0, 1))
        wanted.append(roc_auc_score(targets[known, label], logits[known, label]))
    known = ((targets >= 0) & (targets <= 1)).sum(axis=1)
    if weighed:
        targets = np.stack([targets, np.full_like(targets, 0.5)], axis=-1)
    found = seen(targets, logits)
    assert found.auroc() == pytest.approx(np.mean(wanted), abs=1e-12)
    sizes = [4] * 7 + [2]
    entries = [part.sum() for part in np.split(known, np.cumsum(sizes)[:-1])]
    assert found.entries == pytest.approx(
        np.average(entries, weights=sizes) * (0.5 if weighed else 1)
    )


def test_without_a_label_that_has_both_classes_there_is_none():
    assert Seen().auroc() is None
    assert seen(np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32)).auroc() is None
    one = Seen()
    for truth, logit in ((1.0, 2.0), (0.0, 1.0)):
        one.add(as_logs({"a": truth}, {"a": logit}))
    assert one.auroc() == 1


class _Told:
    def __init__(self):
        self.epochs = []

    def epoch(self, title, epoch, values):
        self.epochs.append(values)


@pytest.mark.parametrize("loss", ["bw_bce", "bce"])
def test_an_epoch_s_line_tells_means(loss, capsys, monkeypatch):
    told = _Told()
    monkeypatch.setattr("cxrkeras.training.watching.watch._watches", [told])
    head, train = head_and_batches()
    trainer = Trainer(head, loss=LOSSES.make(loss))
    held = tf.data.Dataset.from_tensor_slices((FEATURES[:11], {"target": TARGETS[:11]})).batch(8)
    schedule = Schedule(2, 1e-2, 0, 0.5, early_stopping=0)
    entries = 16.0 if loss == "bw_bce" else None
    how = {"steps": 3, "seed": 0, "title": "fold 1/2", "entries": entries}
    with said_as(DETAILED):
        table = trainer.fit(train, held, schedule, **how)
    logits = trainer.predict(held.map(lambda x, y: x), [])["target"]
    aurocs = [roc_auc_score(TARGETS[:11, k], logits[:, k]) for k in range(2)]
    last = told.epochs[-1]
    assert last["val_auroc"] == pytest.approx(np.mean(aurocs), abs=1e-9)
    assert last["val_loss"] == table["val_loss"].iloc[-1]
    sums = 11 / (8 / 11 * 16 + 3 / 11 * 6) / 11  # of batches of 8 and 3 with 2 labels
    if loss == "bw_bce":
        assert last["mean_loss"] == pytest.approx(table["loss"].iloc[-1] / 16)
        assert last["val_mean_loss"] == pytest.approx(table["val_loss"].iloc[-1] * sums)
    else:
        assert "mean_loss" not in last
    shown = last.get("val_mean_loss", last["val_loss"])
    line, more = capsys.readouterr().err.splitlines()[-2:]
    assert line.startswith("fold 1/2, epoch 2/2: loss ")
    assert f"validation loss {shown:.4g}, validation AUROC {np.mean(aurocs):.3f}, " in line
    assert "val_binary_accuracy" in more
    assert "val_auroc" not in table  # history.csv stays as it was
