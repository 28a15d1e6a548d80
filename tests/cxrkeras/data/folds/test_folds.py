"""Folds: a partition, whole patients, even labels; against iterstrat and on the real NIH table."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from cxrkeras.data.folds.files import load_folds, save_folds
from cxrkeras.data.folds.folds import TEST, fold_warnings, hold_out, make_folds, shared_patients
from cxrkeras.data.folds.stratify import greedy, imbalance, patient_counts, refine, split_patients
from data_prep.errors import UserError


@st.composite
def piles(draw, max_patients=30):
    """A table of label targets, and patients with 1 to 9 images each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = rng.integers(1, draw(st.integers(2, 10)), draw(st.integers(4, max_patients)))
    patients = rng.permutation(np.repeat([f"p{i}" for i in range(len(sizes))], sizes))
    rates = rng.uniform(0, 0.5, draw(st.integers(1, 5)))
    targets = (rng.random((len(patients), len(rates))) < rates).astype(float)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    return targets, patients


def objective(targets, parts, proportions):
    """The stated objective, written out independently of the module's own sums."""
    total = 0.0
    columns = [*(np.nan_to_num(targets) == 1).T, np.ones(len(parts), bool)]
    for column in columns:
        for part, proportion in enumerate(proportions):
            expected = proportion * column.sum()
            if expected:
                total += (column[parts == part].sum() - expected) ** 2 / expected
    return total


@given(pile=piles(), n_folds=st.integers(2, 4), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_folds_share_out_whole_patients(pile, n_folds, seed):
    targets, patients = pile
    folds = make_folds(targets, patients, n_folds, seed)
    assert folds.shape == patients.shape
    assert set(folds.tolist()) == set(range(n_folds))
    assert shared_patients(folds, patients) == 0
    np.testing.assert_array_equal(folds, make_folds(targets, patients, n_folds, seed))


@given(pile=piles(12), proportions=st.sampled_from([(0.5, 0.5), (0.8, 0.2), (0.2, 0.3, 0.5)]))
@settings(max_examples=60, deadline=None)
def test_no_single_move_of_a_patient_improves_the_objective(pile, proportions):
    targets, patients = pile
    parts = split_patients(targets, patients, np.array(proportions), 0)
    best = objective(targets, parts, proportions)
    for patient in np.unique(patients):
        for part in range(len(proportions)):
            moved = np.where(patients == patient, part, parts)
            assert objective(targets, moved, proportions) >= best - 1e-8


@given(pile=piles(10), proportions=st.sampled_from([(0.5, 0.5), (0.2, 0.3, 0.5)]))
@settings(max_examples=40, deadline=None)
def test_no_swap_of_two_patients_improves_the_objective(pile, proportions):
    targets, patients = pile
    parts = split_patients(targets, patients, np.array(proportions), 0)
    best = objective(targets, parts, proportions)
    for one, other in combinations(np.unique(patients), 2):
        swapped = parts.copy()
        swapped[patients == one] = parts[patients == other][0]
        swapped[patients == other] = parts[patients == one][0]
        assert objective(targets, swapped, proportions) >= best - 1e-8


@given(pile=piles(), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_refining_never_harms_and_the_sums_agree(pile, seed):
    targets, patients = pile
    _, index = np.unique(patients, return_inverse=True)
    counts = patient_counts(targets, index)
    wanted = np.tile(counts.sum(axis=0) / 3, (3, 1))
    start = greedy(counts, wanted, np.random.default_rng(seed))
    end = refine(counts, start, wanted)
    thirds = [1 / 3] * 3
    for parts in (start, end):
        expected = objective(targets, parts[index], thirds)
        assert imbalance(counts, parts, wanted) == pytest.approx(expected, abs=1e-9)
    assert imbalance(counts, end, wanted) <= imbalance(counts, start, wanted) + 1e-9


@given(pile=piles(), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_rows_does_not_matter(pile, seed):
    targets, patients = pile
    order = np.random.default_rng(seed).permutation(len(patients))
    parts = split_patients(targets, patients, np.ones(3), 5)
    shuffled = split_patients(targets[order], patients[order], np.ones(3), 5)
    np.testing.assert_array_equal(shuffled, parts[order])


def test_the_seed_matters():
    targets, patients = np.zeros((40, 2)), np.repeat(np.arange(20), 2).astype(str)
    first, second = (make_folds(targets, patients, 4, seed) for seed in (0, 1))
    assert (first != second).any()


@given(seed=st.integers(0, 2**31 - 1), n_folds=st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_one_image_per_patient_is_iterstrat_at_the_same_seed(seed, n_folds):
    rng = np.random.default_rng(seed)
    targets = (rng.random((80, 4)) < 0.2).astype(float)
    folds = make_folds(targets, np.arange(80).astype(str), n_folds, seed)
    theirs = MultilabelStratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(theirs.split(targets, targets)):
        np.testing.assert_array_equal(np.flatnonzero(folds == fold), rows)


def test_masked_targets_are_no_positives():
    targets = np.array([[np.nan, -1.0], [1, 0]] * 20)
    patients = np.arange(40).astype(str)
    zeros = np.where(targets == 1, 1.0, 0.0)
    np.testing.assert_array_equal(
        make_folds(targets, patients, 4, 0), make_folds(zeros, patients, 4, 0)
    )


def test_label_counts_are_even_within_rounding_where_that_is_possible():
    rng = np.random.default_rng(0)
    patients = np.sort(rng.integers(0, 300, 800)).astype(str)
    targets = (rng.random((800, 6)) < [0.02, 0.05, 0.1, 0.2, 0.3, 0.5]).astype(float)
    folds = make_folds(targets, patients, 5, 0)
    for column in [*targets.T, np.ones(800)]:
        counts = np.bincount(folds, weights=column)
        assert counts.max() - counts.min() <= 1


def test_one_label_and_as_many_folds_as_patients():
    targets = np.array([[1.0], [0], [0], [1], [0]])
    assert sorted(make_folds(targets, np.array(list("abcde")), 5, 0)) == [0, 1, 2, 3, 4]
    assert sorted(make_folds(np.tile(targets, 2), np.array(list("abcde")), 5, 3)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_folds", [-1, 0, 1, 4])
def test_impossible_numbers_of_folds_are_refused(n_folds):
    with pytest.raises(UserError, match=f"{n_folds} folds for 3 patients"):
        make_folds(np.zeros((6, 2)), np.array(list("aabbcc")), n_folds, 0)


def test_blank_patients_are_patients_of_their_own():
    folds = make_folds(np.zeros((10, 2)), np.full(10, ""), 5, 0)
    assert np.bincount(folds).tolist() == [2] * 5
    assert shared_patients(folds, np.full(10, "")) == 0


def test_warnings_name_the_labels_with_too_few_patients():
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1.0]])
    warnings = fold_warnings(targets, np.array(["a", "a", "b", "c"]), ["A", "B", "C"], 3)
    assert len(warnings) == 1
    assert "3 folds: C (1);" in warnings[0]
    assert fold_warnings(np.ones((3, 1)), np.array(["a", "b", "c"]), ["A"], 3) == []
    assert "2 images have no patient" in fold_warnings(np.ones((3, 1)), ["a", "", ""], ["A"], 2)[0]


@given(pile=piles(), fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_hold_out_takes_whole_patients_and_leaves_each_label_something(pile, fraction, seed):
    targets, patients = pile
    parts = split_patients(targets, patients, np.array([1 - fraction, fraction]), seed)
    assume(len(set(parts)) == 2)  # a few large patients can't always be parted so
    held = hold_out(targets, patients, fraction, seed)
    assert shared_patients(held.astype(int), patients) == 0
    for column in targets.T == 1:
        if len(set(patients[column])) >= 2:
            assert column[~held].any()
    np.testing.assert_array_equal(held, hold_out(targets, patients, fraction, seed))


def test_hold_out_is_of_the_size_asked_for():
    targets = (np.random.default_rng(0).random((500, 3)) < 0.2).astype(float)
    held = hold_out(targets, np.arange(500).astype(str), 0.1, 0)
    assert held.sum() == 50
    np.testing.assert_allclose(targets[held].sum(axis=0), targets.sum(axis=0) / 10, atol=1)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan"), 0.001])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(UserError, match="held-out"):
        hold_out(np.zeros((10, 1)), np.arange(10).astype(str), fraction, 0)


IMAGES = np.array(["images/a,1.png", "images/b.png", "images/c.png", "images/d.png"])
PATIENTS = np.array(["secret1", "secret1", "secret2", ""])
DIGESTS = np.array(["0a", "0b", "0c", "0d"])


def test_folds_come_back_from_their_file(tmp_path):
    folds = np.array([1, 1, 0, TEST])
    save_folds(tmp_path / "folds.csv", IMAGES, PATIENTS, DIGESTS, folds)
    assert (tmp_path / "folds.csv").read_text().splitlines()[0] == "image,patient,sha256,fold"
    order = [2, 0, 3, 1]
    loaded = load_folds(tmp_path / "folds.csv", IMAGES[order], PATIENTS[order], DIGESTS[order])
    np.testing.assert_array_equal(loaded, folds[order])


def test_extra_rows_are_named_and_left_out(tmp_path, caplog):
    save_folds(tmp_path / "folds.csv", IMAGES, PATIENTS, DIGESTS, np.array([0, 0, 1, 0]))
    loaded = load_folds(tmp_path / "folds.csv", IMAGES[:3], PATIENTS[:3], DIGESTS[:3])
    np.testing.assert_array_equal(loaded, [0, 0, 1])
    assert (
        "1 rows name images that the dataset doesn't have, the first is images/d.png" in caplog.text
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0 0 1", "lacks 1 of 4, first images/d.png"),
        ("0 0 1 0 1", "repeats 1"),
        ("0 0 0 0", "has 0. Renumber"),
        ("test test test test", "has test. Renumber"),
        ("1 1 2 2", "has 1, 2. Renumber"),
        ("0 0 x 1", "has 0, 1, x. Renumber"),
        ("0 0 -1 1", "Renumber"),
        ("0 1 1 0", "has 1 patients in two or more"),
        ("0 test 1 1", "has 1 patients in two or more"),
    ],
)
def test_bad_folds_files_are_refused_in_one_line(tmp_path, rows, message):
    names = [*IMAGES, IMAGES[0]]
    lines = [f'"{name}",{fold}' for name, fold in zip(names, rows.split(), strict=False)]
    (tmp_path / "folds.csv").write_text("\n".join(["image,fold", *lines]))
    with pytest.raises(UserError, match=message) as caught:
        load_folds(tmp_path / "folds.csv", IMAGES, PATIENTS, DIGESTS)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "patient",
            ["x1", "x1", "x2", ""],
            r"patient for 3 of 4 images \(images/a,1.png, im",
        ),
        ("patient", ["secret1", "secret1", "secret2", "x"], r"1 of 4 images \(images/d.png\)"),
        ("sha256", ["0a", "0b", "ff", "0d"], r"picture for 1 of 4 images \(images/c.png\)"),
    ],
)
def test_folds_of_other_patients_or_pictures_are_refused(tmp_path, column, values, message):
    path = tmp_path / "folds.csv"
    save_folds(path, IMAGES, PATIENTS, DIGESTS, np.array([0, 0, 1, 0]))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.assign(**{column: values}).to_csv(path, index=False)
    with pytest.raises(UserError, match=message) as caught:
        load_folds(path, IMAGES, PATIENTS, DIGESTS)
    told = str(caught.value)
    assert "secret" not in told
    assert "x1" not in told
    assert "\n" not in told
    table.drop(columns=column).to_csv(path, index=False)  # as the line says
    assert load_folds(path, IMAGES, PATIENTS, DIGESTS).tolist() == [0, 0, 1, 0]
    table.assign(**{column: ""}).to_csv(path, index=False)
    assert load_folds(path, IMAGES, PATIENTS, DIGESTS).tolist() == [0, 0, 1, 0]


def test_a_folds_file_without_its_columns_is_refused(tmp_path):
    (tmp_path / "folds.csv").write_text("image,part\na,0\n")
    with pytest.raises(UserError, match="lacks fold"):
        load_folds(tmp_path / "folds.csv", IMAGES, PATIENTS, DIGESTS)


@pytest.mark.real
def test_the_whole_nih_table_is_even_within_one_image_in_seconds(real):
    from data_prep.tables.table import findings_to_codes, read_table

    table = read_table(real("metadata", "Data_Entry_2017_v2020.csv.gz"))
    labels, codes = findings_to_codes(table["Finding Labels"])
    targets, patients = codes.to_numpy().astype(float), table["Patient ID"].to_numpy()
    folds = make_folds(targets, patients, 5, 0)
    assert len(set(patients)) == 30805
    assert len(set(zip(patients, folds, strict=True))) == 30805
    positives = np.array([targets[folds == fold].sum(axis=0) for fold in range(5)])
    assert positives.shape == (5, len(labels))
    assert (np.ptp(positives, axis=0) <= 1).all()
    assert np.ptp(np.bincount(folds)) == 0
