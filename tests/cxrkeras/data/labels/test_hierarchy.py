"""Label graphs: nearest ancestors, what is implied upwards, what is conditional; on real tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrkeras.data.labels.entries import MASKED
from cxrkeras.data.labels.hierarchy import (
    GRAPHS,
    ancestors,
    conditional,
    parse_parents,
    places_of_parents,
    upwards,
)
from cxrkeras.data.labels.targets import Targets, targets_from_codes
from data_prep.errors import UserError
from data_prep.tables.vocabulary import CHEXPERT14, NIH14

CHEXPERT = GRAPHS["chexpert"]


def test_the_nearest_ancestor_that_the_dataset_has():
    found = places_of_parents(CHEXPERT14, CHEXPERT)
    named = {CHEXPERT14[k]: CHEXPERT14[p] for k, p in enumerate(found) if p >= 0}
    assert named == CHEXPERT
    nih = places_of_parents(NIH14, CHEXPERT)
    assert {NIH14[k]: NIH14[p] for k, p in enumerate(nih) if p >= 0} == {
        "Pneumonia": "Consolidation"
    }
    skipped = places_of_parents(("Lung Opacity", "Pneumonia"), CHEXPERT)  # over Consolidation
    assert skipped.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "CHILD<PARENT"),
        ("A<B<C", "CHILD<PARENT"),
        ("A<", "CHILD<PARENT"),
        ("A<B;A<C", "one parent"),
        ("A<B;B<C;C<A", "its own ancestor"),
        ("A<A", "its own ancestor"),
    ],
)
def test_a_graph_that_is_none_is_refused_in_a_line(text, why):
    with pytest.raises(UserError, match=why) as refused:
        parse_parents(text)
    assert "\n" not in str(refused.value)
    assert parse_parents("A < B; C<B") == {"A": "B", "C": "B"}


ENTRIES = st.lists(
    st.lists(st.sampled_from([MASKED, 0.0, 0.3, 1.0, 2.0]), min_size=4, max_size=4), min_size=1
)
CHAIN = np.array([-1, 0, 1, 0])  # 0 > 1 > 2, and 0 > 3


@given(ENTRIES)
def test_a_parent_is_positive_where_a_child_is(entries):
    values = np.float32(entries)
    found = upwards(Targets(values), CHAIN).values
    for child, parent in ((1, 0), (2, 1), (3, 0)):
        assert (found[found[:, child] == 1, parent] == 1).all()
    changed = found != values
    assert (found[changed] == 1).all()
    np.testing.assert_array_equal(upwards(Targets(found), CHAIN).values, found)


@given(ENTRIES)
def test_children_are_known_only_under_a_positive_parent(entries):
    values = np.float32(entries)
    spread, guessed = np.full_like(values, 0.1), values == MASKED
    found = conditional(Targets(values, spread, guessed), CHAIN)
    np.testing.assert_array_equal(found.values[:, 0], values[:, 0])
    for child, parent in ((1, 0), (2, 1), (3, 0)):
        positive = (values[:, parent] >= 0.5) & (values[:, parent] <= 1)
        np.testing.assert_array_equal(found.values[positive, child], values[positive, child])
        assert (found.values[~positive, child] == MASKED).all()
        assert not found.spread[~positive, child].any()
        assert not found.guessed[~positive, child].any()


def test_steps_towards_the_root():
    steps = [step.tolist() for step in ancestors(CHAIN)]
    assert steps == [[4, 0, 1, 0], [4, 4, 0, 4]]
    assert ancestors(np.array([-1, -1])) == []


def test_conditional_entries_of_chexperts_real_table(real):
    """Beside a count by pandas that knows nothing of this module."""
    table = pd.read_csv(real("metadata", "chexpert_train.csv.gz"))
    codes = table[list(CHEXPERT14)].to_numpy(np.float32)
    targets = targets_from_codes(codes, uncertain="ignore", blank="zeros")
    parents = places_of_parents(CHEXPERT14, CHEXPERT)
    known = np.isfinite(conditional(targets, parents).known).sum(axis=0)
    for child, parent in CHEXPERT.items():
        wanted = (table[parent].eq(1) & table[child].ne(-1)).sum()
        assert known[CHEXPERT14.index(child)] == wanted
    above = upwards(targets, parents).values
    assert (above[:, CHEXPERT14.index("Lung Opacity")] == 1).sum() > (
        table["Lung Opacity"] == 1
    ).sum()
