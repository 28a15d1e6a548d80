"""JSON as archives have it: lists of objects, of any size that a table may have."""

import json
from pathlib import Path

from data_prep.errors import UserError
from data_prep.tables.textfile import read_text


def read_object(path: Path) -> dict:
    """A file's JSON object.

    Raises:
        UserError: it can't be read, or isn't one.
    """
    return _checked(path, dict, "an object")


def read_list(path: Path) -> list[dict]:
    """A file's list of JSON objects.

    Raises:
        UserError: it can't be read, or isn't one.
    """
    found = _checked(path, list, "a list of objects")
    if not all(isinstance(item, dict) for item in found):
        raise UserError(f"{path.name} should hold a list of objects. Download it again.")
    return found


def _checked(path: Path, kind: type, what: str):
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path.name} isn't JSON: download it again.") from None
    if not isinstance(found, kind):
        raise UserError(f"{path.name} should hold {what}. Download it again.")
    return found
