"""`cxrkeras labels`: the vocabulary, an archive's names, and how labels merge."""

import pytest

from cxrkeras.cli import main
from cxrkeras.registry import READERS
from data_prep.tables.ontology import ours


@pytest.fixture
def said(capsys):
    def run(*words, code=0):
        with pytest.raises(SystemExit) as exit_:
            main(["labels", *map(str, words)])
        assert exit_.value.code == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_every_finding_is_shown_under_each_parent(said):
    lines = said().splitlines()
    for finding in ours().findings.values():
        own = [line for line in lines if line.strip().partition(":")[0].startswith(finding.name)]
        assert len(own) >= max(1, len(finding.parents))
    assert "      COVID-19: also covid, sars cov 2" in lines


@pytest.mark.parametrize("name", READERS.names())
def test_an_archive_s_names_are_shown_with_ours(name, said):
    findings = READERS.load(name).findings
    if not findings:
        assert "those of the user's table" in said(name, code=1)
        return
    lines = said(name).splitlines()
    for own in findings:
        assert any(line.startswith(own) for line in lines)


def test_a_file_of_the_user_s_comes_over_it(said, tmp_path):
    (tmp_path / "mine.toml").write_text('["Water"]\nsynonyms = ["pleural effusion"]\n')
    words = ("--findings", tmp_path / "mine.toml")
    assert "Pleural Effusion            Pleural Effusion            Water" in said(
        "chexpert", *words
    )
    merged = said("nih", "chexpert", *words)
    assert "Effusion                    Effusion            -" in merged
    assert "Water                       -                   Water" in merged


def test_the_merged_space_is_a_table(said):
    shown = said("nih", "chexpert")
    assert "Effusion                    Effusion            Pleural Effusion" in shown
    assert "21 labels; -: not labelled there, masked in training" in shown
    assert "named once" in said("nih", "nih", code=1)
    assert "prep must be" in said("nih", "nowhere", code=1)
