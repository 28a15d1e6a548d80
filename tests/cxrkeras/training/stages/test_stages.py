"""Source stages: trained once, kept under what matters, blind to what the target holds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxrkeras.data.dataset import load_dataset, open_dataset
from cxrkeras.data.labels.label_sets import LABEL_SETS
from cxrkeras.data.pipeline import labelled_batches
from cxrkeras.evaluation.scores.predictions import read_predictions
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.registry import BACKBONES
from cxrkeras.runs.sources import Weights
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.fitting.progress import EpochLines
from cxrkeras.training.plan import resolve
from cxrkeras.training.stages import fit as stage_fit
from cxrkeras.training.stages import plan as stages
from cxrkeras.training.stages.fit import Fitted, _heads, _Source
from cxrkeras.training.stages.plan import Stage, describe, plan_stages, trained
from cxrkeras.training.stages.split import share_out
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import write_dataset


@pytest.fixture
def fits(monkeypatch) -> list[str]:
    """The names of the stages that are really trained."""
    names, train = [], stages._train

    def counted(stage, *args):
        names.append(stage.name)
        train(stage, *args)

    monkeypatch.setattr(stages, "_train", counted)
    return names


def origin_of(experiment):
    return plan_stages(resolve(experiment), 0, load_dataset(experiment.data))


def trunk_of(weights: Weights) -> list[np.ndarray]:
    trunk = BACKBONES.make("tiny").trunk(32)
    load_trunk(trunk, "tiny", weights)
    return trunk.get_weights()


def different(one, other) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_chain_of_two_is_trained_once_and_reused_by_another_run(
    experiment, data, tmp_path, cache, fits
):
    chain, how = f"a={data / 'a'},b={data / 'b'}", {"validation_fraction": 0}
    one = experiment(source=chain, **how)
    first = trained(origin_of(one), resolve(one), tmp_path / "one")
    assert fits == ["a", "b"]
    how |= {"folds": 3, "epochs": 7, "source_epochs": 1, "learning_rate": 0.1}
    other = experiment(source=chain, **how)
    assert trained(origin_of(other), resolve(other), tmp_path / "other") == first
    shorter = experiment(source=f"a={data / 'a'}", **how)
    before = trained(origin_of(shorter), resolve(shorter), tmp_path / "shorter")
    assert fits == ["a", "b"]  # nothing was trained again
    assert different(trunk_of(first), trunk_of(before))
    for run in ("one", "other"):
        folders = sorted((tmp_path / run / "stages").iterdir())
        assert [folder.name.split("-")[0] for folder in folders] == ["a", "b"]
        facts = json.loads((folders[1] / "stage.json").read_text())
        assert facts["name"] == "b"
        assert facts["description"]["before"]["datasets"].keys() == {"a"}
        assert pd.read_csv(folders[1] / "history.csv")["epoch"].tolist() == [1]

    # Training again gives the same bits.
    weights = trunk_of(before)
    shutil.rmtree(cache)
    again = trained(origin_of(shorter), resolve(shorter), tmp_path / "again")
    assert fits == ["a", "b", "a"]
    assert not different(weights, trunk_of(again))


MATTER = [
    {"image_size": 32}, {"loss": "bce"}, {"uncertain": "ignore"}, {"blank": "ignore"},
    {"uncertain": "bar=half"}, {"uncertain": "frame=ones,zeros"},
    {"source_epochs": 2}, {"epochs": 2}, {"batch_size": 4}, {"source_learning_rate": 1e-5},
    {"dropout": 0.1}, {"plateau_patience": 1}, {"plateau_factor": 0.2}, {"early_stopping": 1},
    {"batch_norm": "never"}, {"augment": "none"}, {"validation_fraction": 0.3}, {"seed": 1},
    {"backbone": "mobilenet_v3_small"},
]  # fmt: skip
MATTER_NOT = [
    {"uncertain": "bar=ones,half"}, {"uncertain": "frame=multi-class"},  # bar alone has codes -1
    {"folds": 5}, {"test_fraction": 0.2}, {"learning_rate": 0.5}, {"recipe": "frozen"},
    {"shuffle_labels": True}, {"recipe": "frozen"}, {"augment": "study"}, {"joint": "merged"},
    {"epochs": 9, "source_epochs": 1}, {"validation_fraction": 0.15},
]  # fmt: skip


@pytest.mark.parametrize("choices", [*MATTER, *MATTER_NOT], ids=str)
def test_a_stage_is_kept_under_the_settings_that_matter_to_it(experiment, data, choices):
    usual = {"source": f"a={data / 'a'}", "augment": None}
    one, other = experiment(**usual), experiment(**usual | choices)
    equal = describe(origin_of(one), resolve(one)) == describe(origin_of(other), resolve(other))
    assert equal == (choices in MATTER_NOT)


def test_a_stage_that_an_older_cxrkeras_trained_otherwise_is_not_reused(
    experiment, data, tmp_path, monkeypatch
):
    one, begun = experiment(source=f"a={data / 'a'}"), []

    def kept(stage, *args):
        begun.append(stage.name)
        fitted = Fitted(BACKBONES.make("tiny").trunk(32), pd.DataFrame({"epoch": [1]}), 5, {})
        stages._keep(args[-1], fitted, {})

    monkeypatch.setattr(stages, "_train", kept)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "FORMAT", 2)  # heads started at a bias of 0
        before = trained(origin_of(one), resolve(one), tmp_path / "one")
    assert trained(origin_of(one), resolve(one), tmp_path / "two") != before
    assert begun == ["a", "a"]
    trained(origin_of(one), resolve(one), tmp_path / "three")
    assert begun == ["a", "a"]


def test_how_sources_are_joined_matters_to_several(experiment, data):
    sources = [f"a={data / 'a'}", f"b={data / 'b'}"]
    found = {
        joint: describe(origin_of(one), resolve(one))
        for joint in ("heads", "merged")
        for one in [experiment(method="cotrain", source=sources, joint=joint)]
    }
    assert found["heads"] != found["merged"]


def test_a_stage_is_kept_under_its_data_not_under_their_place(experiment, data, tmp_path):
    def key(folder):
        one = experiment(source=f"a={folder}")
        return describe(origin_of(one), resolve(one))

    copy = shutil.copytree(data / "a", tmp_path / "copy")
    assert key(copy) == key(data / "a")
    manifest = copy / "manifest.csv"
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table.loc[0, "bar"] = {"1": "0", "0": "1"}[table.loc[0, "bar"]]
    table.to_csv(manifest, index=False)
    assert key(copy) != key(data / "a")


def test_the_target_s_images_and_patients_are_left_out_of_a_source(experiment, data, tmp_path):
    target = load_dataset(data / "target")
    source = write_dataset(tmp_path / "s", images=20, seed=5)
    manifest = source / "manifest.csv"
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table.loc[3, "sha256"] = target.digests[10]  # the same; its patient has image 2 too
    table.loc[[8, 9], "patient"] = target.patients[0]  # other images of a patient of the target
    table.to_csv(manifest, index=False)
    stage = origin_of(experiment(source=f"s={source}"))
    kept = stage.datasets["s"]
    assert sorted(set(table["image"]) - set(kept.images)) == sorted(table["image"][[2, 3, 8, 9]])
    assert not set(kept.digests) & set(target.digests)
    assert not set(kept.patients) & set(target.patients)


def test_a_source_that_is_the_target_is_refused(experiment, data):
    with pytest.raises(UserError, match="none is left"):
        origin_of(experiment(source=f"s={data / 'target'}"))


def test_too_few_patients_for_a_validation_part_name_the_source_and_the_option(
    experiment, tmp_path, data, monkeypatch
):
    source = write_dataset(tmp_path / "s", images=4, seed=5, per_patient=4)
    one = experiment(source=f"s={source}")
    with pytest.raises(UserError, match=r"4 training images of source s .* --validation-fraction"):
        trained(origin_of(one), resolve(one), tmp_path / "run")

    class Learns(Exception):
        """Without one there is no such part, and the training begins."""

    def learn(*args, **how):
        raise Learns

    monkeypatch.setattr(Learner, "learn", learn)
    one = experiment(source=f"s={source}", validation_fraction=0)
    with pytest.raises(Learns):
        trained(origin_of(one), resolve(one), tmp_path / "run")


@pytest.fixture
def cotrained(experiment, data):
    """`cotrained(joint)`: the stage of a and b, and the experiment."""

    def make(joint, start=""):
        sources = [f"{start}a={data / 'a'}", f"b={data / 'b'}"]
        one = experiment(method="cotrain", source=sources, joint=joint)
        return origin_of(one), one

    return make


def check_own_heads(run, stage):
    """Each co-trained source has a head of its own."""
    (folder,) = (run / "stages").iterdir()
    history = pd.read_csv(folder / "history.csv")
    assert {"a_binary_accuracy", "b_binary_accuracy", "val_a_mae"} <= set(history)
    scores = json.loads((folder / "metrics.json").read_text())
    for name, dataset in stage.datasets.items():
        assert scores[name]["split"] == "held out"
        assert tuple(scores[name]["labels"]) == dataset.labels


@pytest.mark.slow
def test_the_order_of_cotrained_sources_changes_nothing(experiment, data, tmp_path, cache, fits):
    sources = [f"a={data / 'a'}", f"b={data / 'b'}"]
    weights = []
    for run, order in (("run", sources), ("turned", sources[::-1])):
        one = experiment(method="cotrain", source=order)
        stage = origin_of(one)
        weights.append(trunk_of(trained(stage, resolve(one), tmp_path / run)))
        check_own_heads(tmp_path / run, stage)
        shutil.rmtree(cache)
    assert fits == ["a+b", "a+b"]
    assert not different(*weights)


def test_a_source_may_be_called_like_a_layer_or_a_metric(experiment, data, tmp_path):
    names = ("image", "loss")
    sources = [f"{name}={data / folder}" for name, folder in zip(names, "ab", strict=True)]
    one = experiment(method="cotrain", source=sources)
    assert trained(origin_of(one), resolve(one), tmp_path / "run")
    (history,) = (tmp_path / "run" / "stages").glob("*/history.csv")
    assert {"loss", "val_loss", "image_mae", "loss_mae"} <= set(pd.read_csv(history))


def test_in_a_merged_label_space_what_a_source_lacks_is_masked(cotrained):
    stage, one = cotrained("merged")  # test_crossval.py trains such a one, `cotrain`
    plan, made = resolve(one), stage.architecture
    sources = [_Source(name, dataset, plan, made) for name, dataset in stage.datasets.items()]
    heads = _heads(sources, one)
    labels = ("bar", "frame", "disc")
    assert heads == {"a": ("merged", labels, [0, 1]), "b": ("merged", labels, [2, 1])}
    train = [source.part(heads, source.shares.train) for source in sources]
    a, b = (part.targets.values for part in train)
    assert (a[:, 2] < 0).all()
    assert (a[:, :2] >= 0).all()
    assert (b[:, 0] < 0).all()
    assert (b[:, 1:] >= 0).all()
    codes = stage.datasets["b"].codes
    assert np.array_equal(b[:, 1], codes[train[1].index, 1])  # frame is b's second label
    _, targets = next(iter(labelled_batches(train, 8)))
    assert targets["merged"].shape == (16, 3)


def test_a_stage_starts_from_the_weights_that_its_chain_names(cotrained, tmp_path, monkeypatch):
    trunk = BACKBONES.make("tiny").trunk(48)
    path = tmp_path / "given.weights.h5"
    trunk.save_weights(path)
    starts = []

    class Loaded(Exception):
        """Seen what there is to see."""

    def load(trunk, name, weights):
        starts.append((name, weights.where))
        raise Loaded

    monkeypatch.setattr(stage_fit, "load_trunk", load)
    stage, one = cotrained("heads", start=f"{path},")
    assert isinstance(stage.before, Weights)
    with pytest.raises(Loaded):
        trained(stage, resolve(one), tmp_path / "run")
    assert starts == [("tiny", str(path))]
    fresh, _ = cotrained("heads")
    assert describe(fresh, resolve(one)) != describe(stage, resolve(one))


def test_two_runs_that_train_the_same_stage_at_once_do_not_clash(tmp_path):
    trunk = BACKBONES.make("tiny").trunk(32)
    history = pd.DataFrame({"epoch": [1]})
    folder = tmp_path / "stages" / "key"
    for run in (1, 2):
        stages._keep(folder, Fitted(trunk, history, 5, {}), {"run": run})
    assert json.loads((folder / "stage.json").read_text()) == {"run": 1, "images": 5}
    assert [path.name for path in folder.parent.iterdir()] == ["key"]


def test_an_interrupted_stage_leaves_nothing_that_could_be_reused(
    experiment, data, tmp_path, cache, monkeypatch
):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    fitted = Fitted(BACKBONES.make("tiny").trunk(48), pd.DataFrame({"epoch": [1]}), 5, {})
    monkeypatch.setattr(stages, "fit_stage", lambda *args, **how: fitted)
    monkeypatch.setattr(stages, "save_trunk", stop)
    one = experiment(source=f"a={data / 'a'}")
    with pytest.raises(KeyboardInterrupt):
        trained(origin_of(one), resolve(one), tmp_path / "run")
    assert all(path.name.endswith(".unfinished") for path in (cache / "stages").iterdir())


@pytest.mark.slow
def test_a_killed_stage_goes_on_after_its_last_epoch_to_the_same_bits(
    experiment, data, tmp_path, cache, monkeypatch, capfd
):
    """Several sources of unequal length, shuffled, augmented, with early stopping."""
    sources = [f"a={data / 'a'}", f"b={data / 'b'}"]
    how = {"epochs": 4, "early_stopping": 1, "augment": "study"}
    one = experiment(method="cotrain", source=sources, **how)
    whole = trunk_of(trained(origin_of(one), resolve(one), tmp_path / "one"))
    history = next((tmp_path / "one").glob("stages/*/history.csv")).read_bytes()
    shutil.rmtree(cache)
    begin, epochs = EpochLines.on_epoch_begin, []

    def killed(lines, epoch, logs=None):
        epochs.append(epoch)
        if epochs == [0, 1]:
            raise KeyboardInterrupt
        begin(lines, epoch, logs)

    monkeypatch.setattr(EpochLines, "on_epoch_begin", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(origin_of(one), resolve(one), tmp_path / "two")
    capfd.readouterr()
    again = trunk_of(trained(origin_of(one), resolve(one), tmp_path / "two"))
    assert "resumed" in capfd.readouterr().err
    assert epochs[:3] == [0, 1, 1]
    assert not different(whole, again)
    assert next((tmp_path / "two").glob("stages/*/history.csv")).read_bytes() == history
    assert len(list((cache / "stages").iterdir())) == 1


def with_splits(root, splits):
    """A dataset whose rows are in these parts of its archive, in turn."""
    manifest = root / "manifest.csv"
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    table["split"] = [splits[row * len(splits) // len(table)] for row in range(len(table))]
    table.to_csv(manifest, index=False)
    return root


def scores_of(run):
    (path,) = run.glob("stages/*/metrics.json")
    return json.loads(path.read_text())["s"]


@pytest.mark.parametrize(
    ("splits", "scored", "trained_on"),
    [
        pytest.param(("train_val", "test"), "test", ("train_val",), marks=pytest.mark.slow),
        (("train", "valid", "test"), "test", ("train",)),
        pytest.param(("train", "Valid"), "valid", ("train",), marks=pytest.mark.slow),
        (("", "phase 2"), "held out", ("", "phase 2")),
    ],
)
def test_the_archive_s_own_split_is_kept_and_scored(
    experiment, tmp_path, monkeypatch, splits, scored, trained_on
):
    root = with_splits(write_dataset(tmp_path / "s", images=36, seed=5), splits)
    """Whatever a network with the first weights says."""
    seen = []

    def watched(self, train, validation, **how):
        seen.extend([train[0].index, validation[0].index])
        return pd.DataFrame({"epoch": [1]})

    monkeypatch.setattr(Learner, "learn", watched)
    one = experiment(source=f"s={root}", data=None)
    plan = resolve(one)
    weights = trained(plan_stages(plan, 0, None), plan, tmp_path / "run")
    dataset = load_dataset(root)
    train, validation = seen
    assert set(dataset.splits[train]) <= set(trained_on)
    assert not set(dataset.patients[train]) & set(dataset.patients[validation])
    scores = scores_of(tmp_path / "run")
    assert scores["split"] == scored
    predictions = read_predictions(Path(weights.where).with_name("predictions-s.csv"))
    rows = np.flatnonzero(np.char.lower(dataset.splits) == scored)
    if scored == "held out":
        rows = np.sort(validation)
    assert list(predictions.images) == dataset.images[rows].tolist()
    known = ~np.isnan(predictions.truth[:, 1])
    auroc = roc_auc_score(predictions.truth[known, 1], predictions.prob[known, 1])
    assert scores["per_label"]["bar"]["pooled"]["auroc"] == pytest.approx(auroc, abs=1e-12)


def test_patients_of_an_archive_s_test_part_never_train(experiment, tmp_path, capfd):
    root = with_splits(write_dataset(tmp_path / "s", images=36, per_patient=4), ("train", "test"))
    dataset = load_dataset(root)  # image 17 trains, 18 tests: patient 4 has both
    targets = np.zeros((36, 2))
    shares = share_out(dataset, targets, 0.2, 0, name="s")
    assert "2 training images are left out" in capfd.readouterr().err
    trained_or_steered = shares.train | shares.validation
    assert trained_or_steered.sum() == 16
    assert not set(dataset.patients[trained_or_steered]) & set(dataset.patients[shares.scored])
    with pytest.raises(UserError, match="All 18 of s are in its test"):
        share_out(dataset.subset(dataset.splits == "test"), targets[:18], 0.2, 0, name="s")


def test_the_labels_wanted_of_a_source_and_of_the_target_are_picked_by_meaning(
    experiment, data, tmp_path, monkeypatch
):
    monkeypatch.setitem(LABEL_SETS, "chexpert5", ("Frame", "bar"))
    monkeypatch.setitem(LABEL_SETS, "nih14", ("disc",))
    one = experiment(source=f"a={data / 'a'}", label_set=("a=chexpert5", "nih14"))
    stage = origin_of(one)
    assert stage.datasets["a"].labels == ("Frame", "bar")
    every = load_dataset(data / "a")
    kept = np.isin(every.images, stage.datasets["a"].images)
    codes = every.codes[kept][:, ::-1]
    np.testing.assert_array_equal(stage.datasets["a"].codes, codes)
    assert describe(stage, resolve(one)) != describe(
        origin_of(experiment(source=f"a={data / 'a'}")), resolve(one)
    )
    assert open_dataset(data / "target", one.labels_of()).labels == ("disc",)
    with pytest.raises(UserError, match="has no bar, but disc, frame"):
        open_dataset(data / "b", one.labels_of("a"))


def test_a_stage_is_one_backbone_with_what_stands_before_it(experiment, data):
    one = experiment(
        method="mixed",
        backbone=("tiny", "xception"),
        source=("imagenet", f"a={data / 'a'}"),
        image_size=72,
    )
    target = load_dataset(data / "target")
    first, second = (plan_stages(resolve(one), trunk, target) for trunk in (0, 1))
    assert first == Weights("imagenet")
    assert isinstance(second, Stage)
    assert (second.name, second.before) == ("a", None)
    assert [str(part) for part in second.architecture.backbones] == ["xception"]
