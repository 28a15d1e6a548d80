"""What every optimiser must do, on its own and where a head ends with the mean of its weights."""

import keras
import numpy as np
import pytest

from cxrkeras.models.losses.bce import Part as BCE
from cxrkeras.registry import OPTIMIZERS
from cxrkeras.training.averages.all_steps import Part as AllSteps
from cxrkeras.training.fitting.averaging import averaging
from cxrkeras.training.fitting.trainer import Schedule, Trainer
from tests.cxrkeras.training.fitting.fits import head_and_batches, killed_fit
from tests.parts.each import each, made

pytestmark = pytest.mark.jax
SCHEDULE = Schedule(4, 1e-2, plateau_patience=1, plateau_factor=0.5, early_stopping=0)


@each(OPTIMIZERS)
def test_each_is_new_and_made_anew_by_its_configuration(part_id):
    part = made(part_id)
    one, two = part.build(), part.build()
    assert isinstance(one, keras.optimizers.Optimizer)
    assert one is not two
    assert type(one).from_config(one.get_config()).get_config() == one.get_config()
    assert isinstance(averaging(one, AllSteps()), type(one))


@each(OPTIMIZERS)
@pytest.mark.parametrize("average", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_killed_fit_goes_on_to_the_same_bits(part_id, average, tmp_path, monkeypatch):
    head, train = head_and_batches()
    before = head.get_weights()
    trainer = Trainer(
        head, loss=BCE(), optimizer=made(part_id), unsteered=AllSteps() if average else None
    )

    def fit(**how):
        table = trainer.fit(train, None, SCHEDULE, steps=3, seed=0, title="t", **how)
        return [table.to_numpy(), *head.get_weights()]

    whole = fit()
    assert not any(map(np.array_equal, before, whole[1:]))
    again = killed_fit(fit, tmp_path / "state.npz", monkeypatch)
    assert all(map(np.array_equal, whole, again))
