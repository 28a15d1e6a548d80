"""What the functions that read films have in common."""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from data_prep.errors import UserError
from data_prep.films.admission import Admission

PathLike = str | os.PathLike[str]


def admitted(chosen: Mapping[str, Any]) -> Admission:
    """Make an `Admission` from arguments.

    Raises:
        UserError: `Admission` has no such name.
    """
    known = [field.name for field in fields(Admission)]
    if unknown := [name for name in chosen if name not in known]:
        raise UserError(
            f"There is no argument {unknown[0]!r}. What is accepted as a film is set with "
            f"{', '.join(known)}."
        )
    return Admission(**chosen)
