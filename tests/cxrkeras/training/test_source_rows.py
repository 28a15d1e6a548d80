"""Images of other datasets that teach the target's head too: which, how often, and never scored."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.draws import drawn_rows
from cxrkeras.data.images import Images
from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.targets import Targets, targets_from_codes
from cxrkeras.data.pipeline import Features, Joined, Part, labelled_batches
from cxrkeras.models.losses import bw_bce
from cxrkeras.models.network import TARGET
from cxrkeras.runs.target import Target, load_target
from cxrkeras.training.crossval import cross_validate
from cxrkeras.training.fitting.learner import _by_head
from cxrkeras.training.plan import resolve
from cxrkeras.training.recipes.shared.pooled.features import identity
from cxrkeras.training.session import Session
from cxrkeras.training.stages.rows import SourceRows, in_labels, source_rows
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import write_dataset

HOW = {"epochs": 1, "learning_rate": 0.01, "seed": 0, "title": "t"}


@pytest.fixture
def mingled(data, tmp_path):
    """16 films: the target's first, a copy of its third, another of its fifth's patient, and of
    the first two's patients one more each.
    """
    folder = write_dataset(tmp_path / "mingled", ("bar", "frame"), images=16, seed=7)
    ours, theirs = (
        pd.read_csv(root / "manifest.csv", dtype=str) for root in (data / "target", folder)
    )
    theirs.loc[0, "sha256"] = ours.loc[0, "sha256"]
    shutil.copyfile(data / "target" / ours.loc[2, "image"], folder / theirs.loc[2, "image"])
    theirs.loc[2, ["prepared", "signature"]] = ours.loc[2, ["prepared", "signature"]]
    theirs.loc[4, "patient"] = ours.loc[4, "patient"]
    theirs.to_csv(folder / "manifest.csv", index=False)
    return folder


def test_the_target_s_films_patients_and_copies_are_left_out_and_counted(
    experiment, data, mingled, capsys
):
    one = experiment(source_rows=f"m={mingled}:0.5")
    target = load_target(one, load_dataset(data / "target"), None)
    (rows,) = source_rows(one, target)
    left = {"target": 1, "copies": 1, "patients": 3, "split": 0}
    assert rows.facts["left_out"] == left
    assert rows.facts["images"] == len(rows) == 11
    assert rows.rows.tolist() == [5, *range(6, 16)]
    assert "m: 5 of 16 images are left out: 1 are the target's, 1 are copies" in (
        said := capsys.readouterr().err + capsys.readouterr().out
    ), said
    assert not set(rows.dataset.patients) & set(target.dataset.patients)


def test_labels_that_a_source_lacks_are_masked_and_those_of_its_own_left_out():
    codes = np.float32([[1, 0, -1], [0, np.nan, 1]])
    for policy, spread in (("ones", None), ("ones_lsr", True)):
        theirs = targets_from_codes(codes, uncertain=policy)
        common, found = in_labels(
            theirs, ("Mass", "Lung Mass X", "Edema"), ("edema", "Hernia", "Mass")
        )
        assert common == ["edema", "Mass"]
        assert (found.values[:, 1] == MASKED).all()
        np.testing.assert_array_equal(found.values[:, [0, 2]], theirs.values[:, [2, 0]])
        assert (found.spread is None) == (spread is None)
        if spread:
            np.testing.assert_array_equal(found.spread[:, [0, 2]], theirs.spread[:, [2, 0]])
            assert not found.spread[:, 1].any()


def test_what_is_a_class_in_a_source_alone_is_masked(experiment, data):
    """Of the target's labels `disc` has uncertain entries, and of the source's `bar`."""
    one = experiment(source_rows=f"a={data / 'a'}", uncertain="multi_class")
    target = load_target(one, load_dataset(data / "target"), None)
    (rows,) = source_rows(one, target)
    assert target.targets.three_way.tolist() == [True, False]
    assert rows.targets.values[-1].tolist() == [MASKED, MASKED]
    assert (rows.targets.values[:-2, 1] >= 0).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a", "NAME=DIR"),
        ("a=", "NAME=DIR"),
        ("a b=1", "NAME=DIR"),
        ("a=x:-1", "number from 0 to 100"),
        ("a=x:nan", "number from 0 to 100"),
        ("a=0.5", "needs a --source a=DIR"),
        (["a=x", "a=y"], "for two"),
    ],
)
def test_what_source_rows_may_be(experiment, rows, message):
    with pytest.raises(UserError, match=message):
        resolve(experiment(source_rows=rows))


def test_a_dataset_is_named_once_and_a_weight_of_0_is_none(experiment, data):
    link = f"a={data / 'a'}"
    ((dataset, weight),) = experiment(source=link, source_rows="a=0.5").taught_by
    assert (dataset.folder, weight) == (data / "a", 0.5)
    assert experiment(source_rows=link).taught_by == [(dataset, 1.0)]
    assert experiment(source_rows=f"{link}:0").taught_by == []
    assert experiment(source_rows=f"{link}:0.5").placeless()["source_rows"] == [["a", 0.5]]
    assert experiment(source_rows=()).digest == experiment().digest
    assert "source_rows" not in experiment().placeless()
    with pytest.raises(UserError, match="for two"):
        resolve(experiment(source=link, source_rows="a=elsewhere"))
    for recipe in ("ag_cnn", "study_fusion:by=patient", "location_aware", "hierarchy"):
        with pytest.raises(UserError, match="learns from the target's own images alone"):
            resolve(experiment(source_rows=link, recipe=recipe, augment="light"))


def weighted(weights, epoch=None) -> Part:
    rows = Features(np.arange(len(weights))[:, None])
    targets = Targets(np.float32(np.arange(len(weights)) % 3 == 0)[:, None])
    return Part(TARGET, rows, np.arange(len(weights)), targets, epoch, weights=np.array(weights))


@pytest.mark.parametrize(("weight", "rows"), [(0.5, 14), (1.0, 18), (2.5, 30)])
def test_rows_are_drawn_as_often_as_they_weigh(weight, rows):
    part = weighted([1.0] * 10 + [weight] * 8)
    steps = -(-rows // 4)
    batches = labelled_batches([part], 4, shuffle=3, epochs=range(40))
    seen = [inputs[:, 0].astype(int) for inputs, _ in batches.as_numpy_iterator()]
    epochs = [np.concatenate(seen[first : first + steps]) for first in range(0, 40 * steps, steps)]
    counts = np.array([np.bincount(one, minlength=18) for one in epochs])
    assert (counts.sum(axis=1) == rows).all()
    assert (counts[:, :10] == 1).all()
    assert set(np.unique(counts[:, 10:])) <= {int(weight), int(np.ceil(weight))}
    np.testing.assert_allclose(counts[:, 10:].mean(axis=0), weight, atol=0.3)

    (drawn,) = drawn_rows([part], 4)
    epochs = drawn[: len(drawn) // steps * steps].reshape(-1, steps * 4)
    assert ((epochs >= 0).sum(axis=1) == rows).all()
    assert all((np.bincount(one[one >= 0], minlength=18)[:10] == 1).all() for one in epochs[:50])


def test_weights_of_1_distort_as_no_weights_do_and_twice_as_twice_the_rows(experiment):
    def found(part):
        drawn = _by_head(experiment(batch_size=6), [part])[TARGET]
        return bw_bce.Part().distortion(drawn.targets, drawn.rows).w[0], drawn.amounts

    plain = weighted([1.0] * 12)
    one, _ = found(plain._replace(weights=None))
    assert found(plain)[0] == pytest.approx(one, rel=0.02)
    twice, amounts = found(weighted([1.0] * 9 + [2.0] * 3))
    targets = Targets(plain.targets.values[[*range(12), 9, 10, 11]])
    rows = Part(TARGET, Features(np.zeros((15, 1))), np.arange(15), targets)
    assert twice == pytest.approx(found(rows)[0], rel=0.02)
    assert amounts == pytest.approx([9 / 15, 6 / 15])


@pytest.mark.parametrize("limit", [None, 0])
def test_joined_inputs_are_one_after_another(data, monkeypatch, limit):
    if limit is not None:
        monkeypatch.setattr("cxrkeras.data.images.RAM_LIMIT", limit)
    sets = [load_dataset(data / name) for name in ("target", "b")]
    found = [Images(dataset.paths, 48, dataset.known(("image", "age"))) for dataset in sets]
    both, index = Joined(found), np.array([40, 3, 35, 36, 55])
    assert len(both) == 56
    taken = both.take(index)
    expected = [found[n].take(np.array([i])) for n, i in ((1, 4), (0, 3), (0, 35), (1, 0), (1, 19))]
    for name in ("image", "age"):
        np.testing.assert_array_equal(taken[name], np.concatenate([one[name] for one in expected]))
    one = both.take(np.array([2]))["image"]
    np.testing.assert_array_equal(one, found[0].take(np.array([2]))["image"])


def rows_of(dataset, places, targets, weight=1.0) -> SourceRows:
    return SourceRows("s", dataset, dataset.subset(places), places, targets[places], weight, {})


def sessions(experiment, dataset, weight=1.0):
    """One of 36 films; one of 20, with the other 16 as source rows; its first 20 train."""
    whole = Session(
        plan := resolve(experiment), load_target(experiment, dataset, None), (None,), [0]
    )
    first, rest = np.arange(20), np.arange(20, 36)
    target, targets = whole.target, whole.target.targets
    part = Target(dataset.subset(first), targets[first], target.truth[first], target.folds[first])
    rows = rows_of(dataset, rest, targets, weight)
    return whole, Session(plan, part, (None,), [0], (rows,))


def multiset(part: Part) -> Counter:
    values = np.concatenate([part.inputs.values.numpy()[part.index], part.targets.values], axis=1)
    return Counter(row.tobytes() for row in values.round(4))


def test_half_a_dataset_as_rows_of_weight_1_is_the_whole(experiment, data):
    dataset = load_dataset(data / "target")
    one, two = sessions(experiment(recipe="frozen"), dataset)
    fitters = [session.plan.recipe.fitter(session) for session in (one, two)]
    trains = np.arange(36), np.arange(20)
    parts = []
    for fitter, train, session in zip(fitters, trains, (one, two), strict=True):
        standard = fitter._standardised(session.learnt(train, session.target.targets))
        (part,), _ = fitter._parts(standard, train, train[:0], session.target.targets)
        assert part.weights is None
        assert part.rows == 36
        parts.append(multiset(part))
    assert parts[0] == parts[1]
    assert fitters[1].facts["source_rows"] == {"s": 16}

    one, two = (
        replace(s, plan=resolve(experiment(recipe="logistic:strength=0.1"))) for s in (one, two)
    )
    scores = []
    for session, train in zip((one, two), trains, strict=True):
        fitter = session.plan.recipe.fitter(session)
        fitter.fit(train, train[:0], session.target.targets, **HOW)
        scores.append(fitter.predict(np.arange(20)))
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_a_weight_moves_what_is_standardised_and_told(experiment, data):
    dataset = load_dataset(data / "target")
    _, session = sessions(experiment(recipe="frozen"), dataset, weight=2.0)
    fitter, train = session.plan.recipe.fitter(session), np.arange(20)
    fitter._standardised(session.learnt(train, session.target.targets))
    twice = fitter._copies[0, [*range(36), *range(20, 36)]]
    np.testing.assert_allclose(fitter._mean, twice.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(fitter._scale, twice.std(axis=0), rtol=1e-3)
    # The target's features are kept without regard to what else is learnt from.
    assert identity(session, 0) == identity(replace(session, rows=()), 0)
    assert identity(session, 0) != identity(session, 0, session.rows[0].whole)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["frozen", "finetune", "logistic:strength=0.1"])
def test_a_run_says_what_taught_it_and_goes_on_only_with_that(
    experiment, data, mingled, tmp_path, recipe
):
    how = {"recipe": recipe, "epochs": 2}
    run, rows = tmp_path / "run", f"m={mingled}:0.5"
    cross_validate(experiment(**how, source_rows=rows), run)
    told = json.loads((run / "sources.json").read_text())[-1]["source_rows"]["m"]
    assert (told["weight"], told["images"], told["labels"]) == (0.5, 11, ["bar"])
    images = pd.read_csv(run / "predictions.csv")["image"]
    assert len(images) == 36
    assert json.loads((run / "folds/0/fold.json").read_text())["source_rows"] == {"m": 11}
    shutil.rmtree(run / "folds" / "1")
    before = (run / "predictions.csv").read_bytes()
    cross_validate(experiment(**how, source_rows=rows), run)
    assert (run / "predictions.csv").read_bytes() == before
    shutil.rmtree(run / "folds" / "1")
    table = pd.read_csv(mingled / "manifest.csv", dtype=str)
    table.loc[9, "bar"] = "1" if table.loc[9, "bar"] == "0" else "0"
    table.to_csv(mingled / "manifest.csv", index=False)
    with pytest.raises(UserError, match="A source's data or weights have changed"):
        cross_validate(experiment(**how, source_rows=rows), run)
    none = [experiment(**how, **more) for more in ({}, {"source_rows": f"m={mingled}:0"})]
    for number, one in enumerate(none):
        cross_validate(one, tmp_path / str(number))
    for name in ("predictions.csv", "metrics.json", "sources.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
