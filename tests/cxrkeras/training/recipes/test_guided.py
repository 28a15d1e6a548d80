"""Two branches and their fusion: the steps' order, resuming in each, what is told of them."""

import json

import numpy as np
import pandas as pd
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.models.branches import GLOBAL, LOCAL
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting.checkpoint import Checkpoint
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError
from tests.cxrkeras.networks import session_of


def test_a_head_without_one_vector_is_refused_before_anything_is_read(experiment):
    with pytest.raises(UserError, match=r"makes one vector of an image.*Received: --head pcam"):
        resolve(experiment(recipe="ag_cnn", head="pcam"))
    with pytest.raises(UserError, match=r"no truth teaches\. Received: --head label_lstm"):
        resolve(experiment(recipe="ag_cnn", head="label_lstm"))
    resolve(experiment(recipe="ag_cnn", head="lse"))
    with pytest.raises(UserError, match="ag_cnn"):
        resolve(experiment(recipe="self_training:base=ag_cnn", head="pcam"))


class _Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.jax
def test_each_step_ends_as_alone_and_resumes_after_a_kill(experiment, data, tmp_path, monkeypatch):
    """The global branch learns as the recipe `finetune`, to the bit."""
    dataset, rows = load_dataset(data / "target"), np.arange(36)
    how = {"epochs": 2, "learning_rate": 3e-3, "seed": 5, "title": "t"}

    def fitted(recipe, checkpoint=None):
        session = session_of(experiment(recipe=recipe, batch_size=6), dataset)
        fitter = session.plan.recipe.fitter(session)
        targets = session.target.targets
        told = fitter.fit(rows[:24], rows[24:30], targets, checkpoint=checkpoint, **how)
        return fitter, told.history

    recipe = "ag_cnn:local_epochs=3,fusion_epochs=1"
    plain, _ = fitted("finetune")
    whole, history = fitted(recipe)
    assert history["step"].tolist() == [
        *["global branch"] * 2,
        *["local branch"] * 3,
        "fusion",
    ]
    alone = whole.branches(rows)
    assert list(alone) == [GLOBAL, LOCAL]
    np.testing.assert_allclose(alone[GLOBAL], plain.predict(rows), atol=1e-6)
    scores = whole.predict(rows)
    for kill in (1, 3, 6):
        ended = []

        def dies(self, epoch, logs=None, end=Checkpoint.on_epoch_end, ended=ended, kill=kill):
            end(self, epoch, logs)
            ended.append(epoch)
            if len(ended) == kill:
                raise _Killed

        path = tmp_path / f"{kill}.npz"
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "on_epoch_end", dies)
            with pytest.raises(_Killed):
                fitted(recipe, path)
        resumed, again = fitted(recipe, path)
        np.testing.assert_array_equal(resumed.predict(rows), scores)
        np.testing.assert_array_equal(resumed.branches(rows)[LOCAL], alone[LOCAL])
        assert again.equals(history)


@pytest.mark.slow
def test_a_run_tells_what_its_branches_say(experiment, tmp_path):
    run = RunFolder(tmp_path / "run")
    chosen = experiment(recipe="ag_cnn", inputs="image,age", method="mixed", precision="bfloat16")
    metrics = cross_validate(chosen, run.path)
    assert set(metrics["branches"]) == {GLOBAL, LOCAL} == set(run.branches)
    for name, part in metrics["branches"].items():
        gain = metrics["macro"]["pooled"]["auroc"] - part["macro"]["value"]
        assert part["gain"]["value"] == pytest.approx(gain)
        assert len(pd.read_csv(run.branch(name))) == 36
    assert metrics == json.loads(run.metrics.read_text(encoding="utf-8"))
    report = run.report.read_text(encoding="utf-8")
    assert "Target, all folds: local branch" in report
    assert 'id="branches"' in report
