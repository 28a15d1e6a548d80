"""The vocabulary of findings, and a user's file over it."""

import pytest
from pydicom.sr._concepts_dict import concepts

from data_prep.errors import UserError
from data_prep.tables.ontology import folded, ontology_of, ours
from data_prep.tables.vocabulary import CHEXPERT14, NIH15, canonical, parts_of


def test_every_finding_is_found_by_each_of_its_spellings():
    for finding in ours().findings.values():
        for spelling in (finding.name, *finding.synonyms):
            assert ours().name_of(spelling.upper().replace(" ", "_")) == finding.name
    assert ours().name_of("gout") is None


def test_the_labels_of_the_first_two_archives_keep_their_meanings():
    for label in (*NIH15, *CHEXPERT14):
        assert canonical(label) == {"Pleural Effusion": "Effusion"}.get(label, label)


def test_ancestors_come_nearest_first_and_once():
    assert list(ours().ancestors("COVID-19")) == ["Viral Pneumonia", "Pneumonia", "Lung Opacity"]
    assert list(ours().ancestors("Calcified Granuloma")) == ["Granuloma", "Calcification"]
    assert list(ours().ancestors("bullous emphysema".title())) == ["Bullae", "Emphysema"]
    assert list(ours().ancestors(canonical("callus rib fracture"))) == ["Rib Fracture", "Fracture"]
    assert list(ours().ancestors("gout")) == []


def test_a_union_is_known_by_any_spelling():
    for name in ("Nodule or mass", "nodule/mass", "NODULE/MASS"):
        assert parts_of(name) == ("Nodule", "Mass")
    assert parts_of("Lung Lesion") == ()


def test_every_code_is_dicoms_and_one_finding_s():
    """By pydicom's copy of PS3.16."""
    coded = [finding for finding in ours().findings.values() if finding.code]
    assert len({finding.code[:2] for finding in coded}) == len(coded) > 20
    for finding in coded:
        scheme, code, meaning = finding.code
        known = [names[code][0] for names in concepts[scheme].values() if code in names]
        assert meaning in known


def theirs(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    return ontology_of(tmp_path / "mine.toml")


def test_a_user_s_file_comes_over_it(tmp_path):
    text = '[Gout]\nparents = ["Water"]\n["Water"]\nsynonyms = ["pleural effusion", "Effusion"]\n'
    mixed = theirs(tmp_path, text)
    assert mixed.name_of("Pleural_Effusion") == mixed.name_of("effusion") == "Water"
    assert list(mixed.ancestors("Gout")) == ["Water"]
    assert list(mixed.ancestors("Loculated Effusion")) == ["Water"]
    assert mixed.name_of("Mass") == "Mass"
    assert ours().name_of("Pleural Effusion") == "Effusion"
    again = theirs(tmp_path, '["Mass"]\nsynonyms = ["nodule"]\n')
    assert again.name_of("Nodule") == "Mass"
    assert "nodule" not in {folded(name) for name in again.findings}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[A]\nsynonyms = 'b'", "lists of texts"),
        ("[A]\nother = ['b']", "lists of texts"),
        ("A = 1", "lists of texts"),
        ("[A", "isn't TOML"),
        ("[A]\nsynonyms = ['c']\n[B]\nsynonyms = ['C']", "means 'A' and 'B'"),
        ("[A]\nparents = ['Gout']", "which is no finding"),
        ("[A]\nparents = ['B']\n[B]\nparents = ['A']", "its own ancestor"),
        ("[A]\nparents = ['A']", "its own ancestor"),
        ("[A]\ncode = ['SCT', '1']", "three texts"),
        ("['Pleural Effusion']\n[Effusion]", "'Effusion' are names of one finding, Effusion"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as error:
        theirs(tmp_path, text)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="can't be read"):
        ontology_of(tmp_path / "none.toml")
