"""When batch-norm statistics are estimated anew, and how validation patients are chosen."""

import numpy as np
import pytest

from cxrkeras.data.pipeline import Images, Part
from cxrkeras.data.targets import Targets
from cxrkeras.models.network import build_network
from cxrkeras.training import learn
from cxrkeras.training.fit import Trainer, batch_norms
from cxrkeras.training.learn import Learner, validation_rows
from data_prep.errors import UserError


@pytest.mark.parametrize(
    ("batch_norm", "few_below", "settled"),
    [("never", 4, 0), ("auto", 4, 1), ("auto", 3, 0), ("always", 3, 1)],
)
def test_statistics_are_settled_as_the_option_says(
    experiment, data, monkeypatch, batch_norm, few_below, settled
):
    calls = []
    monkeypatch.setattr(Trainer, "settle", lambda self, batches: calls.append(batches))
    monkeypatch.setattr(learn, "_FEW_STEPS", few_below)
    network = build_network(("tiny",), 32, {"h": 1})
    images = Images([str(path) for path in sorted((data / "a" / "images").iterdir())], 32)
    part = Part("h", images, np.arange(20), Targets(np.zeros((20, 1), np.float32)))
    one = experiment(batch_norm=batch_norm)
    learner = Learner(network.logits, one, [part], augment="none")
    learner.learn([part], [], epochs=1, learning_rate=1e-3, seed=0, title="t")  # 3 steps
    assert len(calls) == settled
    if settled:  # in whole batches
        assert [len(inputs) for inputs, _ in calls[0]] == [8, 8]
    momentum = {layer.momentum for layer in batch_norms(network.logits)}
    assert momentum == {0.99 if batch_norm == "never" else 0.7}


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
