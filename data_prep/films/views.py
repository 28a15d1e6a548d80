"""Frontal or lateral: the view of a film, as tables and DICOM's ViewPosition name it."""

import re

CHOICES = ("frontal", "lateral", "all")
_LATERAL = re.compile(r"(?!.*DECUB).*LAT|(L|LL|RL)$")  # a decubitus film is frontal
_OBLIQUE = re.compile(r".*OBL|[LR](LO|PO|AO)$")


def admits(choice: str, view: str | None) -> bool:
    """Whether a choice keeps a film.

    Args:
        choice: one of `CHOICES`; `frontal` keeps what is neither lateral nor oblique.
        view: e.g. `PA`, `LATERAL`, `LL`; an unknown one counts as frontal, as most films are.
    """
    letters = re.sub("[^A-Z]", "", (view or "").upper())
    lateral = bool(_LATERAL.match(letters))
    if choice == "frontal":
        return not lateral and not _OBLIQUE.match(letters)
    return choice == "all" or lateral
