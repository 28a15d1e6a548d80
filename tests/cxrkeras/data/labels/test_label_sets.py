"""`--labels`: sets of labels for the target and for sources."""

import numpy as np
import pytest

from cxrkeras.data.labels.label_sets import LABEL_SETS, TARGET, parse_label_sets
from data_prep.errors import UserError
from data_prep.tables.vocabulary import canonical


def test_a_bare_set_is_the_target_s_and_a_named_one_its_source_s():
    assert parse_label_sets(()) == {}
    assert parse_label_sets(("nih14", "chex=chexpert5, nih=nih14")) == {
        TARGET: "nih14",
        "chex": "chexpert5",
        "nih": "nih14",
    }


@pytest.mark.parametrize("word", ["nih", "chex=", "=nih14", "chex=14", ""])
def test_what_is_no_set_is_refused_with_the_known_ones(word):
    with pytest.raises(UserError, match="nih14, nih15, chexpert14, chexpert5"):
        parse_label_sets((word,))


def test_two_sets_for_one_dataset_are_refused():
    with pytest.raises(UserError, match="gives chex two sets: nih14 and chexpert5"):
        parse_label_sets(("chex=nih14", "chex=chexpert5"))


def test_chexpert_s_five_join_nih_s_fourteen_to_exactly_fourteen():
    """SCIENCE 1: with the five-label vector the union is NIH-14."""
    union = {canonical(label) for name in ("nih14", "chexpert5") for label in LABEL_SETS[name]}
    assert union == set(LABEL_SETS["nih14"])
    assert [len(set(map(canonical, labels))) for labels in LABEL_SETS.values()] == [14, 15, 14, 5]


def test_labels_are_found_by_meaning_and_codes_go_with_them(prepared):
    from cxrkeras.data.dataset import load_dataset, open_dataset

    dataset = load_dataset(prepared)
    turned = open_dataset(prepared, [dataset.labels[1], "pleural effusion"])
    assert turned.labels == (dataset.labels[1], "pleural effusion")
    np.testing.assert_array_equal(turned.codes, dataset.codes[:, ::-1])
    assert turned.fingerprint != dataset.fingerprint
    with pytest.raises(UserError, match="has no Unicorn, but "):
        dataset.with_labels(["Unicorn"])


def test_no_finding_follows_from_the_others_unless_it_is_a_label(prepared):
    from dataclasses import replace

    from cxrkeras.data.dataset import load_dataset

    nan = np.nan
    codes = np.float32([[0, 0], [1, 0], [1, -1], [0, -1], [0, nan], [nan, nan], [-1, 1]])
    dataset = replace(load_dataset(prepared), labels=("Mass", "Effusion"), codes=codes)
    found = dataset.with_labels(["Pleural Effusion", "No Finding"])
    assert found.labels == ("Pleural Effusion", "No Finding")
    known = {0: 1, 1: 0}
    expected = [known.get(code, -1) for code in codes[:, 1]]
    np.testing.assert_array_equal(found.codes[:, 1], expected)  # of the wanted one alone
    found = dataset.with_labels(["No Finding", "Mass", "Effusion"][::-1])
    np.testing.assert_array_equal(found.codes[:, 2], [1, 0, 0, -1, -1, -1, 0])
    np.testing.assert_array_equal(found.codes[:, :2], codes[:, ::-1])
    own = replace(dataset, labels=("Mass", "no finding"))
    np.testing.assert_array_equal(own.with_labels(["Mass", "No Finding"]).codes, codes)
    with pytest.raises(UserError, match="has no Edema"):
        dataset.with_labels(["Edema", "No Finding"])
    with pytest.raises(UserError, match="has no No Finding"):
        dataset.with_labels(["No Finding"])
