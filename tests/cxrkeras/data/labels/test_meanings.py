"""What labels mean over several datasets, one of them prepared in a user's words."""

from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.labels.merged import merged_labels, places_in


def test_a_user_s_spelling_of_a_known_finding_is_that_finding():
    meaning = Meanings.of([{"effusion": ("fluid",)}, {}])
    labels = {"mine": ("fluid",), "chexpert": ("Pleural Effusion",), "nih": ("Effusion",)}
    assert merged_labels(labels, meaning) == ("fluid",)
    assert places_in(("fluid",), ("Pleural Effusion",), meaning) == [0]


def test_a_user_s_own_finding_keeps_its_name():
    meaning = Meanings.of([{"Fluid": ("Pleural Effusion",)}])
    assert meaning("pleural effusion") == "Fluid"
    assert meaning("Mass") == "Mass"
