"""Four archives in miniature learn together: what one never labels, its films never move."""

import json

import numpy as np
import pytest

from cxrkeras.cli import main
from cxrkeras.data.dataset import load_dataset
from cxrkeras.models.network import layer_name
from cxrkeras.registry import READERS
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.plan import resolve
from cxrkeras.training.stages import fit as stage_fit
from cxrkeras.training.stages.fit import MERGED
from cxrkeras.training.stages.plan import describe, plan_stages
from data_prep.dataset.make import make_dataset
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import write_dataset

WORDS = {"chexpert": "own", "covid": "own", "nih": "own", "padchest": "ours"}
FILE = '["Fluid"]\nsynonyms = ["{}", "Effusion"]\n'


def prepared(name, root, words):
    raw, reader = READERS.load(name).example(root / f"{name}-raw")
    settings = {"size": 32, "workers": 0, "progress": False, "tell": lambda _: None}
    return make_dataset(reader, raw, root / name, findings=words, **settings).out


@pytest.mark.slow
def test_a_joint_stage_of_four_archives_learns_each_label_from_those_that_have_it(
    experiment, data, tmp_path, monkeypatch, capsys
):
    """By the trainer itself: from each archive's films alone, the columns of the head for what it
    doesn't label stay as they are to the bit, and all others move.
    """
    folders = {name: prepared(name, tmp_path, words) for name, words in WORDS.items()}
    seen, learn = {}, stage_fit.learn_parts

    def watched(learner, train, validation, **how):
        kernel = learner._logits.get_layer(layer_name(MERGED)).weights[0]
        assert [part.head for part in train] == [MERGED] * len(folders)
        start = learner._logits.get_weights()
        for name, part in zip(folders, train, strict=True):
            before = kernel.numpy().copy()
            learner.learn([part], [], epochs=2, learning_rate=0.01, seed=0, title=name)
            seen[name] = part, (kernel.numpy() != before).any(axis=0)
            learner._logits.set_weights(start)
        return learn(learner, train, validation, **how)

    monkeypatch.setattr(stage_fit, "learn_parts", watched)
    sources = [f"{name}={folder}" for name, folder in folders.items()]
    one = experiment(
        method="cotrain", joint="merged", source=sources, source_epochs=1, validation_fraction=0
    )
    cross_validate(one, tmp_path / "run")
    for name, folder in folders.items():
        part, moved = seen[name]
        labelled = np.isfinite(part.targets.known).any(axis=0)
        assert len(load_dataset(folder).labels) >= labelled.sum() > 0
        assert not labelled.all()
        assert not moved[~labelled].any()
        assert moved[labelled].any()
    assert (tmp_path / "run" / "report.html").is_file()

    with pytest.raises(SystemExit):
        main(["labels", *map(str, folders.values())])
    shown = capsys.readouterr().out
    assert f"{len(seen['nih'][1])} labels; -: not labelled there" in shown


def test_a_user_s_vocabulary_decides_what_is_one_label(tmp_path, experiment, data, capsys):
    """`Fluid` of a dataset that was prepared with it is another's `Pleural Effusion`, in the merged
    labels, in the table of `cxrkeras labels`, and in what the stage's cache is found by.
    """
    (tmp_path / "mine.toml").write_text(FILE.format("Pleural Effusion"))
    write_dataset(tmp_path / "own", labels=("Pleural Effusion", "Mass"))
    mine = prepared("nih", tmp_path, str(tmp_path / "mine.toml"))
    assert json.loads((mine / "dataset.json").read_text())["findings"] == {
        "Fluid": ["Pleural Effusion", "Effusion"]
    }
    sources = [f"mine={mine}", f"own={tmp_path / 'own'}"]
    one = experiment(method="cotrain", joint="merged", source=sources, validation_fraction=0)
    plan = resolve(one)
    origin = plan_stages(plan, 0, None)
    parts = [stage_fit._Source(n, d, plan, origin.architecture) for n, d in origin.datasets.items()]
    heads = stage_fit._heads(parts, one)
    labels, places = heads["own"][1:]
    assert [labels[place] for place in places] == ["Fluid", "Mass"]
    described = describe(origin, plan)
    assert described["meanings"]["own"] == {"Pleural Effusion": "Fluid"}
    with pytest.raises(SystemExit):
        main(["labels", str(mine), str(tmp_path / "own")])
    assert any(
        line.split() == ["Fluid", "Fluid", "Pleural", "Effusion"]
        for line in capsys.readouterr().out.splitlines()
    )
    description = json.loads((mine / "dataset.json").read_text())
    (mine / "dataset.json").write_text(json.dumps({**description, "findings": {}}))
    again = plan_stages(plan, 0, None)
    assert describe(again, plan) != described
    (mine / "dataset.json").write_text(
        json.dumps({**description, "findings": {"Fluid": ["Mass"], "Water": []}})
    )
    other = json.loads((tmp_path / "own" / "dataset.json").read_text())
    (tmp_path / "own" / "dataset.json").write_text(
        json.dumps({**other, "findings": {"Tumour": ["mass"]}})
    )
    with pytest.raises(UserError, match=r"means 'Fluid' in one dataset's .* same --findings"):
        describe(plan_stages(plan, 0, None), plan)
