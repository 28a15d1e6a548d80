"""Codes of findings: DICOM's own where it has them, else short ones that stay."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cxrkeras.serving.reporting.codes import PRIVATE, code_of
from data_prep.tables.ontology import folded, ours


@settings(max_examples=50)
@given(st.text(min_size=1))
def test_any_label_has_a_code_that_dicom_can_hold(label):
    code = code_of(label)
    assert 0 < len(code.value) <= 16
    assert code.value.isascii()
    assert 0 < len(code.meaning) <= 64
    assert not set(code.meaning) & set("\\\n\r\0")
    assert code_of(label) == code


def test_every_finding_has_a_code_of_its_own_in_any_spelling():
    codes = {name: code_of(name) for name in ours().findings}
    assert len({code[:2] for code in codes.values()}) == len(codes)
    for name, finding in ours().findings.items():
        for spelling in finding.synonyms:
            assert code_of(spelling.upper().replace(" ", "_")) == codes[name]


def test_names_that_look_alike_without_their_marks_differ():
    alike = ["Ödem & Co", "Odem Co", "Mass, left", "Mass: left", "Mass left"]
    assert len({code_of(name).value for name in alike}) == len(alike)
    assert code_of("Atelectasis")[:2] == ("atelectasis", PRIVATE)
    assert code_of("Pleural_Thickening").meaning == "Pleural Thickening"
    assert code_of("ODEM  co") == code_of("odem-co")._replace(meaning=code_of("ODEM  co").meaning)
    assert folded("ODEM  co") == "odem co"
