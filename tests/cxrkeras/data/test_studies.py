"""Films of one study: which they are, what they teach together, and how their logits become one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.dataset import load_dataset
from cxrkeras.data.labels.entries import MASKED, UNCERTAIN_CLASS
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.studies import fused, groups_of, names_in, of_studies, table_of
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.tables.examinations import by_study
from cxrkeras.runs.description import make_experiment
from data_prep.errors import UserError
from tests.cxrkeras.training.tiny import write_dataset

finite = st.floats(-60, 60, width=32)
films = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(finite, min_size=2 * n, max_size=2 * n),
        st.lists(finite, min_size=2 * n, max_size=2 * n),
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.permutations(range(n)),
    )
)


@given(films)
def test_logits_are_a_mean_by_softmax_whatever_the_order_and_the_neighbours(drawn):
    logits, attention = (np.reshape(each, (-1, 2)) for each in drawn[:2])
    groups, order = np.array(drawn[2]), np.array(drawn[3])
    found = fused(logits, attention, groups)
    np.testing.assert_array_equal(
        fused(logits[order], attention[order], groups[order]), found[order]
    )
    for group in set(groups.tolist()):
        mine = groups == group
        weights = np.exp(attention[mine] - attention[mine].max(axis=0))
        expected = (weights / weights.sum(axis=0) * logits[mine]).sum(axis=0)
        np.testing.assert_allclose(found[mine], np.tile(expected, (mine.sum(), 1)), atol=1e-9)
        alone = fused(logits[mine], attention[mine], np.zeros(mine.sum(), int))
        np.testing.assert_array_equal(alone, found[mine])
        if mine.sum() == 1:  # a film alone: its own logits, to the bit
            np.testing.assert_array_equal(found[mine], logits[mine])


def test_one_attention_for_all_labels_and_no_film_at_all():
    logits, attention = np.random.default_rng(0).normal(size=(2, 5, 3))
    groups = np.array([0, 1, 0, 0, 1])
    shared = np.repeat(attention[:, :1], 3, axis=1)
    found = fused(logits, attention[:, :1], groups)
    np.testing.assert_array_equal(found, fused(logits, shared, groups))
    assert (found[0] != fused(logits[1:], shared[1:], groups[1:])[1]).all()  # one film less
    assert fused(np.empty((0, 3)), np.empty((0, 1)), np.empty(0, int)).shape == (0, 3)


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=9))
def test_films_without_a_name_are_alone(names):
    groups = groups_of(names)
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            assert (groups[i] == groups[j]) == (i == j or (one == other != ""))


@given(st.data())
def test_a_table_has_each_film_once_and_no_two_studies_in_a_line(data):
    groups = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=15)))
    chosen = data.draw(st.sets(st.sampled_from(range(len(groups)))))
    table = table_of(groups, np.array(sorted(chosen, reverse=True), int))
    assert sorted(table[table >= 0]) == sorted(chosen)
    assert len(table) == len({int(groups[row]) for row in chosen})
    for line in table:
        assert len(set(groups[line[line >= 0]])) == 1
        assert (np.diff(line[line >= 0]) > 0).all()
        assert (line[(line >= 0).sum() :] == -1).all()


@given(st.lists(st.tuples(st.sampled_from([0, 1, MASKED]), st.integers(0, 3)), min_size=1))
def test_a_study_learns_what_it_is_scored_against(films):
    values, groups = np.float32([[v] for v, _ in films]), np.array([g for _, g in films])
    table = table_of(groups, np.arange(len(groups)))
    names = tuple(map(str, range(len(groups))))
    truth = np.where(values == MASKED, np.nan, values)
    rows = Predictions(names, names, ("0",) * len(names), ("A",), 0.5 + 0 * values, truth)
    scored, _ = by_study(rows, np.array([f"s{g}" for g in groups]))
    learnt = of_studies(Targets(values), table).values[:, 0]
    found = {groups[line[0]]: value for line, value in zip(table, learnt, strict=True)}
    expected = dict(zip(dict.fromkeys(groups), scored.truth[:, 0], strict=True))
    assert found == {g: MASKED if np.isnan(v) else v for g, v in expected.items()}


def test_uncertain_entries_stand_between_present_and_unknown():
    column = np.float32([[0], [0.7], [0.2], [MASKED], [UNCERTAIN_CLASS], [1]])
    spread, guessed = np.float32([[0], [0.1], [0.2], [0], [0], [0]]), column == MASKED
    pairs = np.array([[0, 1], [2, 1], [3, 1], [3, 0], [4, 1], [4, 5], [0, -1]])
    found = of_studies(Targets(column, spread, guessed), pairs)
    expected = np.float32([0.7, 0.7, 0.7, MASKED, UNCERTAIN_CLASS, 1, 0])
    np.testing.assert_array_equal(found.values[:, 0], expected)
    np.testing.assert_array_equal(found.spread[:, 0], np.float32([0.1, 0.1, 0.1, 0, 0, 0, 0]))
    assert found.guessed[:, 0].tolist() == [False, False, False, True, False, False, False]


def test_studies_come_from_the_manifest_or_patients_stand_for_them(tmp_path):
    dataset = load_dataset(write_dataset(tmp_path / "data", images=6))
    assert groups_of(names_in(dataset, "patient")).tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UserError, match=r"column study of its manifest.*give by=patient"):
        names_in(dataset, "study")
    told = {"study": np.array(["s1", "s2", "s1", "s1", "", ""])}
    groups = groups_of(names_in(replace(dataset, told=told), "study"))
    assert groups.tolist() == [0, 1, 2, 2, 3, 4]  # `s1` of another patient is another study
    unknown = replace(dataset, told={}, patients=np.full(6, ""))
    for by in ("study", "patient"):
        with pytest.raises(UserError, match="another recipe"):
            names_in(unknown, by)


def test_a_run_is_of_one_set_of_studies_where_it_learns_by_them(tmp_path):
    dataset = load_dataset(write_dataset(tmp_path / "data", images=6))
    other = replace(dataset, told={**dataset.told, "study": np.array(list("aabbcc"))})
    for recipe, differs in (
        ("study_fusion", True),
        ("self_training:base=study_fusion", True),
        ("study_fusion:by=patient", False),
        ("frozen", False),
    ):
        experiment = make_experiment({"recipe": recipe})
        one, two = experiment.fingerprint_of(dataset), experiment.fingerprint_of(other)
        assert (one != two) == differs
        assert (one == dataset.fingerprint) == (not differs)
