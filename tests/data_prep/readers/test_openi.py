"""Open-i: MeSH terms as labels, views from a table, and the real reports."""

import tarfile
from collections import Counter

import pytest

from data_prep.errors import UserError
from data_prep.readers.openi import Part
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.nlmcxr_reports import LABELS, read_reports
from data_prep.readers.shared.wording import worded
from tests.data_prep.readers.published import published


def report(uid, films, major=(), automatic=()):
    terms = [f"<major>{term}</major>" for term in major]
    terms += [f"<automatic>{term}</automatic>" for term in automatic]
    places = "".join(f'<parentImage id="{film}"/>' for film in films)
    mesh = f"<MeSH>{''.join(terms)}</MeSH>"
    return f'<?xml version="1.0"?><eCitation><uId id="{uid}"/>{mesh}{places}</eCitation>'


TERMS = {
    "CXR1": (["Opacity/lung/base/left", "Thickening/apex/pleura"], ["pericardial effusion"]),
    "CXR2": (["normal"], []),
    "CXR3": (["No Indexing"], ["right-sided pleural effusion", "calcified granulomas"]),
    "CXR4": (["Lung/hypoinflation/mild", "Aorta/calcified"], ["Pneumonia"]),
}


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "ecgen-radiology"
    folder.mkdir()
    for number, (uid, terms) in enumerate(TERMS.items()):
        film = f"{uid}_{number}_IM-1-3001"
        write_film(tmp_path / "NLMCXR_png" / f"{film}.png", number)
        (folder / f"{number}.xml").write_text(report(uid, [film, f"{uid}_gone"], *terms))
    return tmp_path


def found(source):
    return {
        record.study: {
            n for n, code in zip(source.labels, record.codes, strict=True) if code == "1"
        }
        for record in source.records
    }


def test_terms_become_labels_and_reports_without_any_are_left_out(tree):
    source = Part().read(tree, "x")
    assert found(source) == {
        "CXR1": {"Lung Opacity", "Pleural_Thickening"},
        "CXR2": set(),
        "CXR4": {"Hypoexpansion"},
    }
    assert source.records[0].patient == "CXR1"
    assert "of reports without MeSH terms of findings: 2 films left out" in source.notes
    assert found(Part(mesh="automatic").read(tree, "x")) == {
        "CXR1": {"Pericardial Effusion"},
        "CXR2": set(),
        "CXR3": {"Effusion", "Granuloma"},
        "CXR4": {"Pneumonia"},
    }


@pytest.mark.parametrize(
    ("term", "labels"),
    [
        ("Spine/degenerative/mild", {"Vertebral Degenerative Changes"}),
        ("Thoracic Vertebrae/multiple/degenerative", {"Vertebral Degenerative Changes"}),
        ("Cardiac Shadow/enlarged/mild", {"Cardiomegaly"}),
        ("Cardiac Shadow/obscured", set()),
        ("Sulcus/bilateral/posterior/blunted", {"Costophrenic Angle Blunting"}),
        ("Bullous Emphysema/lung/apex", {"Bullous Emphysema", "Bullae", "Emphysema"}),
    ],
)
def test_what_indexers_write_of_one_finding_in_several_ways(tree, term, labels):
    (tree / "ecgen-radiology" / "1.xml").write_text(report("CXR2", ["CXR2_1_IM-1-3001"], [term]))
    assert found(worded(Part().read(tree, "x"), "ours"))["CXR2"] == labels


def test_no_label_is_negative_that_a_program_can_never_find(tree):
    given, possible = Part(mesh="automatic").read(tree, "x").labels, set(Part().findings.values())
    assert "Hypoexpansion" in Part().read(tree, "x").labels
    assert set(given) < possible
    assert not {"Hypoexpansion", "Flattened Diaphragm", "Costophrenic Angle Blunting"} & set(given)


def test_the_archive_of_reports_is_read_as_it_is(tree):
    folder = tree / "ecgen-radiology"
    with tarfile.open(tree / "NLMCXR_reports.tgz", "w:gz") as tar:
        tar.add(folder, "ecgen-radiology")
    packed = Part().read(tree, "x")
    (tree / "NLMCXR_reports.tgz").unlink()
    assert packed.records == Part().read(tree, "x").records
    (tree / "NLMCXR_reports.tgz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(UserError, match=r"can't be read.*Download it again"):
        Part().read(tree, "x")


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (("filename", "projection"), ("0_IM-1-3001.dcm.png", "1_IM-1-3001.dcm.png")),
        (("imageid", "View Position"), ("CXR1_0_IM-1-3001", "CXR2_1_IM-1-3001")),
    ],
)
def test_views_come_from_a_table(tree, columns, names):
    rows = [columns, (names[0], "Lateral"), (names[1], "PA")]
    table = write_table(tree / "views.csv", rows)
    source = Part(projections=table).read(tree, "x")
    assert [record.view for record in source.records] == ["Lateral", "PA", None]
    with pytest.raises(UserError, match="needs a column of films"):
        Part(projections=write_table(tree / "v.csv", [("a", "b"), (1, 2)])).read(tree, "x")


@pytest.mark.parametrize("text", ["<a>", "<a/>", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_a_file_that_is_no_report_is_refused(tree, text):
    (tree / "ecgen-radiology" / "9.xml").write_text(text)
    with pytest.raises(UserError, match=r"9\.xml .*Download it again"):
        Part().read(tree, "x")


@pytest.mark.real
@pytest.mark.slow
def test_the_real_reports_count_as_their_text_does():
    import re

    path = published("NLMCXR_reports.tgz")
    reports = read_reports([path], "major")
    assert len(reports) == 3955
    assert sum(len(one.films) for one in reports) == 7470
    ours = Counter(
        n
        for one in reports
        for n, code in zip(LABELS["major"], one.codes or (), strict=bool(one.codes))
        if code == "1"
    )
    theirs = Counter()
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith(".xml"):
                text = tar.extractfile(member).read().decode()
                heads = {
                    t.split("/")[0].strip() for t in re.findall("<major>([^<]*)</major>", text)
                }
                theirs.update(heads)
    for term, label in {
        "Pleural Effusion": "Effusion", "Mass": "Mass",
        "Pulmonary Atelectasis": "Atelectasis", "Infiltrate": "Infiltration",
        "Pneumothorax": "Pneumothorax", "Hernia, Hiatal": "Hiatal Hernia", "Nodule": "Nodule",
        "Fractures, Bone": "Fracture", "Pulmonary Edema": "Edema", "Pneumonia": "Pneumonia",
    }.items():  # fmt: skip
        assert ours[label] == theirs[term], label
