"""Samples of whole patients, and names found by any tail of their path."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import UserError
from data_prep.readers.shared.records import Record, Source
from data_prep.readers.shared.selection import limited, without


def source_of(patients) -> Source:
    records = [
        Record(Path(f"{n}.png"), f"a/{n}.png", ("1",), patient)
        for n, patient in enumerate(patients)
    ]
    return Source("x", ("Mass",), records, [("gone.png", "file not found")], notes=("read",))


def keys(source):
    return [record.key for record in source.records]


patient_lists = st.lists(st.sampled_from([*map(str, range(12)), None]), min_size=1, max_size=60)


@given(patient_lists, st.integers(1, 70), st.integers(0, 5))
def test_a_sample_has_whole_patients_in_order_and_about_the_size(patients, images, seed):
    source = source_of(patients)
    sample = limited(source, images, seed)
    chosen = Counter(record.patient for record in sample.records)
    whole = Counter(patients)
    assert all(count == whole[p] for p, count in chosen.items() if p is not None)
    assert keys(sample) == [key for key in keys(source) if key in set(keys(sample))]
    largest = max(n for p, n in (whole - Counter({None: whole[None] - 1})).items())
    size = len(sample.records)
    assert 1 <= size <= max(images, largest)
    assert size > images - largest or size == len(patients)
    assert sample.rejected == source.rejected


@given(patient_lists, st.integers(1, 30), st.integers(0, 30), st.randoms())
def test_samples_are_nested_and_the_tables_order_does_not_matter(patients, few, more, random):
    source = source_of(patients)
    small, large = limited(source, few), limited(source, few + more)
    assert set(keys(small)) <= set(keys(large))
    shuffled = list(source.records)
    random.shuffle(shuffled)
    again = limited(Source("x", ("Mass",), shuffled, []), few)
    assert set(keys(again)) == set(keys(small))


def test_another_seed_draws_others_and_the_note_tells():
    source = source_of([str(n // 2) for n in range(200)])
    samples = [limited(source, 20, seed) for seed in (0, 1)]
    assert keys(samples[0]) != keys(samples[1])
    assert samples[0].notes[-1] == "sample: 20 of 200 images, 10 of 100 patients, seed 0"
    assert limited(source, 20, 0) == samples[0]
    unknown = limited(source_of([None, None, "p"]), 3)
    assert "2 images have no patient in the table" in unknown.notes[-1]


def test_a_list_names_files_or_paths(tmp_path):
    names = tmp_path / "poor.txt"
    names.write_text("\ufeff0.png\r\n\r\na/2.png\r\nelsewhere/3.png\r\n", encoding="utf-8")
    source = without(source_of("pppp"), (names,))
    assert keys(source) == ["a/1.png", "a/3.png"]
    assert source.rejected[1:] == [
        ("a/0.png", "excluded by poor.txt"),
        ("a/2.png", "excluded by poor.txt"),
    ]
    assert source.notes[-1] == "excluded by poor.txt: 3 names, 1 of them not here"


def test_a_list_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"no file .*none\.txt"):
        without(source_of("p"), (tmp_path / "none.txt",))
