"""Names of findings: the study's table, and one name across archives."""

import pytest

from data_prep.tables.vocabulary import (
    CHEXPERT5,
    CHEXPERT14,
    EDA7,
    EDA_CHINESE,
    EDA_TAXONOMY,
    NIH14,
    canonical,
    eda_category,
    is_eda_finding,
    is_normal,
    nearest,
)


def test_the_taxonomy_has_the_sums_of_the_study():
    sums = {category: sum(subs.values()) for category, subs in EDA_TAXONOMY.items()}
    assert list(sums.values()) == [91, 96, 33, 154, 151, 36, 42, 7, 1314]
    assert sum(sums.values()) == 1924
    assert sum(map(len, EDA_TAXONOMY.values())) == 19
    assert len(EDA7) == 7


def test_each_sub_finding_and_chinese_name_has_its_category():
    for category, subs in EDA_TAXONOMY.items():
        for name in (category, *subs, category.upper(), category.replace(" ", "_")):
            assert eda_category(name) == category
    assert {eda_category(name) for name in EDA_CHINESE} <= set(EDA_TAXONOMY)
    assert not is_eda_finding("gout")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Pleural Effusion", "Effusion"),
        ("pleural_thickening", "Pleural_Thickening"),
        ("Pleural Thickening", "Pleural_Thickening"),
        ("No_Finding", "No Finding"),
        ("normal", "No Finding"),
        ("Airspace opacity", "Lung Opacity"),
        (" something else ", "something else"),
    ],
)
def test_one_name_across_archives(spelling, name):
    assert canonical(spelling) == name


def test_chexpert5_lies_within_nih14_and_canonical_is_idempotent():
    assert {canonical(name) for name in CHEXPERT5} < set(NIH14)
    for name in (*NIH14, *CHEXPERT14):
        assert canonical(canonical(name)) == canonical(name)
    assert is_normal("No Finding")
    assert not is_normal("Mass")


def test_nearest_names():
    assert nearest("hernja", NIH14).startswith("Nearest known: Hernia")
    assert nearest("zzzz", NIH14).startswith("Known: Atelectasis")
