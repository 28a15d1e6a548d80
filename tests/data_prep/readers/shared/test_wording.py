"""A source put into the words of the vocabulary."""

from pathlib import Path

import pytest

from data_prep.errors import UserError
from data_prep.readers.shared.records import Box, Record, Source
from data_prep.readers.shared.wording import worded

LABELS = ("pleural effusion", "Effusion", "nodule", "Lung Lesion", "gout")


def source(*codes, labels=LABELS):
    records = [Record(Path("x"), str(n), row) for n, row in enumerate(codes)]
    return Source("s", labels, records, [], boxes=(Box("0", "pleural effusion", 0, 0, 1, 1),))


def test_labels_of_one_meaning_become_one_and_parents_follow():
    own = source(("0", "-1", "1", "0", "1"), ("0", "", "-1", "0", ""), ("", "", "", "", "1"))
    ours = worded(own, "ours")
    assert ours.labels == ("Effusion", "Nodule", "Lung Lesion")
    assert [record.codes for record in ours.records] == [
        ("-1", "1", "1"),
        ("0", "-1", "-1"),  # what may show a nodule is not without a lesion
        ("", "", ""),
    ]
    assert ours.boxes[0].label == "Effusion"
    assert ours.notes[-1].endswith("left out: gout")
    assert worded(own, "own") is own


def test_a_file_of_the_user_s_decides(tmp_path):
    (tmp_path / "mine.toml").write_text('[Water]\nsynonyms = ["Effusion", "gout"]\n')
    ours = worded(source(("0", "0", "0", "0", "1")), str(tmp_path / "mine.toml"))
    assert ours.labels == ("Water", "Nodule", "Lung Lesion")
    assert ours.records[0].codes == ("1", "0", "0")
    assert "left out: pleural effusion" in ours.notes[-1]  # with its finding's name it went


def test_labels_without_any_place_are_refused():
    with pytest.raises(UserError, match="none of the labels gout"):
        worded(source(("1",), labels=("gout",)), "ours")
