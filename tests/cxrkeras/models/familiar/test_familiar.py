"""How far a film lies from the training films, against plain formulas; and its file."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from cxrkeras.commands.shared import cautions
from cxrkeras.models.familiar import FILE
from cxrkeras.models.familiar.density import fit_density
from cxrkeras.models.familiar.films import (
    LIMIT,
    Familiar,
    Nearer,
    counted,
    load_familiar,
    save_familiar,
    unlike,
)
from cxrkeras.serving.predict import caution, warned
from cxrkeras.serving.predict.caution import in_words
from data_prep.errors import UserError

RNG = np.random.default_rng(0)


def features(count: int, width: int = 12) -> np.ndarray:
    mixed = RNG.normal(size=(width, width)) * np.linspace(0.1, 3, width)
    return (RNG.normal(size=(count, width)) @ mixed + 5).astype(np.float32)


@pytest.mark.parametrize("axes", [0, 3, 12])
def test_the_distance_is_mahalanobis_in_the_covariance_of_the_leading_axes(axes):
    train, new = features(80), features(5)
    standard = (train - train.mean(0, np.float64)) / train.std(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(standard.T))
    values, vectors = values[::-1].copy(), vectors[:, ::-1]
    if axes < 12:
        values[axes:] = values[axes:].mean()
    inverse = np.linalg.inv((vectors * values) @ vectors.T)
    moved = (new - train.mean(0, np.float64)) / train.std(0, dtype=np.float64)
    expected = [row @ inverse @ row for row in moved]
    np.testing.assert_allclose(fit_density(train, axes).distance(new), expected, rtol=2e-4)


@pytest.mark.parametrize("limit", [0, 1, 1.5, float("nan")])
def test_a_limit_that_flags_all_or_none_is_refused(limit):
    with pytest.raises(UserError, match="--flag-unlike is a share"):
        caution.check_limit(limit)


@pytest.mark.parametrize("limit", [0.5, 0.9, 0.9925, 0.99, 0.993, 0.995, 0.999])
def test_the_fewest_films_that_can_be_flagged(limit):
    least = warned._least(limit)
    assert least / (least + 1) >= limit > (least - 1) / least


def test_without_a_spread_there_is_no_density():
    assert fit_density(np.ones((9, 4), np.float32)) is None
    assert fit_density(features(2)) is None


def test_a_constant_feature_counts_only_where_it_changes():
    train = np.column_stack([features(40), np.full(40, 7, np.float32)])
    density = fit_density(train)
    changed = train[:3] + np.float32([*np.zeros(12), 2])
    assert (density.distance(changed) > density.distance(train[:3]) + 1).all()
    assert np.isfinite(density.distance(train)).all()


def test_films_nearer_are_counted_fold_by_fold_and_trainings_of_a_fold_by_their_mean():
    counts = RNG.integers(0, 30, size=(3, 4)).astype(float)
    folds = [Nearer("a", 30, counts[0]), Nearer("b", 31, counts[1])]
    np.testing.assert_allclose(unlike(folds), (counts[0] + counts[1]) / 62)
    trained_twice = [*folds, Nearer("a", 30, counts[2], weight=3.0)]
    mean = (counts[0] + 3 * counts[2]) / 4
    np.testing.assert_allclose(unlike(trained_twice), (mean + counts[1]) / 62)
    assert unlike([]) is None


def test_a_film_like_the_others_is_flagged_as_seldom_as_promised():
    """Over many draws of films and models: at most 1%, and of 98 films none."""
    flagged = {98: [], 300: []}
    for of, found in flagged.items():
        for _ in range(200):
            distances = RNG.exponential(size=of + 20)
            mine = np.searchsorted(np.sort(distances[:of]), distances[of:])
            found.append(unlike([Nearer("a", of, mine.astype(float))]) >= LIMIT)
    assert not np.any(flagged[98])
    assert np.mean(flagged[300]) < 0.013


def test_runs_with_other_folds_of_the_same_films_count_by_their_mean():
    films = ("all", 60)
    runs = [
        [Nearer(f"{run}{fold}", 30, np.array([30.0, 12.0]), among=films) for fold in (0, 1)]
        for run in "ab"
    ]
    alone, both = unlike(runs[0]), unlike(runs[0] + runs[1])
    np.testing.assert_allclose(both, alone)
    assert both[0] < LIMIT  # of 60 films none is flagged, however many runs held them out
    np.testing.assert_allclose(unlike(runs[0][:1]), np.array([30, 12]) / 31)
    density = fit_density(features(40))
    known = [
        Familiar(density, np.arange(30.0), one.whose, ("x",), films) for r in runs for one in r
    ]
    assert (counted(known), counted(known[:2]), counted(known[:1])) == (60, 60, 30)


def test_the_option_has_the_limit_of_the_code():
    assert cautions._DEFAULT == LIMIT


def write_model(path, value: float, layer: str) -> None:
    store = io.BytesIO()
    with h5py.File(store, "w") as file:
        file["layers/dense/vars/0"] = np.float32([value])
        file["layers/dense"].attrs["name"] = layer
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", store.getvalue())


@pytest.fixture
def model(tmp_path):
    write_model(tmp_path / "model.keras", 1, "dense_1")
    train = features(40)
    held_out = np.sort(fit_density(train).distance(features(20)))
    save_familiar(Familiar(fit_density(train), held_out, "abc", ("pool",), ("all", 90)), tmp_path)
    return tmp_path


def test_it_is_read_as_it_was_written(model):
    found = load_familiar(model, model / "model.keras")
    assert (found.whose, found.layers, len(found.held_out)) == ("abc", ("pool",), 20)
    assert found.nearer(features(3)).of == 20
    assert found.among == found.nearer(features(3)).among == ("all", 90)
    save_familiar(None, model)
    assert load_familiar(model, model / "model.keras") is None


def test_another_models_file_is_refused(model):
    """What layers are called, in the order in which a process made them, is no other model."""
    write_model(model / "model.keras", 1, "dense_7")
    assert load_familiar(model, model / "model.keras") is not None
    write_model(model / "model.keras", 2, "dense_1")
    with pytest.raises(UserError, match="was made with another model"):
        load_familiar(model, model / "model.keras")


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_damaged_file_is_refused(model, cut):
    content = (model / FILE).read_bytes()
    (model / FILE).write_bytes(content[:-cut])
    with pytest.raises(UserError, match="is damaged"):
        load_familiar(model, model / "model.keras")


def test_a_films_share_is_put_into_words():
    assert in_words(float("nan"), 0.99) == ""
    assert in_words(0.995, 0.99).startswith("Unlike the training films: 99.5% of")
    assert in_words(0.5, 0.99).startswith("50.0% of the out-of-fold films")
