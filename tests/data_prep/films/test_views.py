import pytest

from data_prep.films.views import admits

FRONTAL = ("PA", "AP", "ap supine", "FRONTAL", "LLD", "Lateral decubitus", "", None, "POSTERO_ANT")
LATERAL = ("LL", "RL", "LATERAL", "left lateral", "LAT", "L")
OBLIQUE = ("LLO", "RPO", "OBLIQUE")


@pytest.mark.parametrize(
    ("view", "choices"),
    [
        *((view, {"all", "frontal"}) for view in FRONTAL),
        *((view, {"all", "lateral"}) for view in LATERAL),
        *((view, {"all"}) for view in OBLIQUE),
    ],
)
def test_what_each_choice_keeps(view, choices):
    assert {choice for choice in ("frontal", "lateral", "all") if admits(choice, view)} == choices
