"""JSON that anyone may have written, checked against a schema; errors name the field."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from data_prep.errors import UserError
from data_prep.files import read_json
from data_prep.tables.label_names import MOST, fault

_MUST_BE = {
    "model_type": "a table",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "finite_number": "a finite number",
}


class Facts(BaseModel):
    """A table of a JSON file. Nothing is converted, and numbers must be finite.

    Unknown keys are allowed: a later version may have written them.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


def _different(labels: list[str]) -> list[str]:
    if not 0 < len(labels) <= MOST or len(set(labels)) < len(labels):
        raise ValueError(f"must name 1 to {MOST:,} labels, each once")
    return labels


def _speakable(label: str) -> str:
    if wrong := fault(label):
        raise ValueError(wrong)
    return label


Label = Annotated[str, AfterValidator(_speakable)]
Labels = Annotated[list[Label], AfterValidator(_different)]
Words = Annotated[str, Field(max_length=10_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=10**12)]


def read_checked(path: Path, schema: type[Facts], what_next: str) -> dict[str, Any]:
    """Read a JSON file as it is, if it fits a schema.

    Args:
        path: the file.
        schema: what it must hold.
        what_next: a sentence for errors: what to do next.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it can't be read, or doesn't fit; the first wrong field is named.
    """
    return checked(read_any(path, what_next), schema, path, what_next)


def read_any(path: Path, what_next: str) -> Any:
    """Read a JSON file without a schema; errors as in `read_checked`."""
    try:
        return read_json(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}). {what_next}") from None
    except ValueError as error:
        raise UserError(f"{path} can't be used: {error}. {what_next}") from None


def checked(facts: Any, schema: type, path: Path, what_next: str) -> dict[str, Any]:
    """Check what has been read, or is about to be written.

    Args:
        facts: as `json` has them.
        schema: `Facts`, or a pydantic dataclass.
        path: the file, for errors.
        what_next: a sentence for errors: what to do next.

    Returns:
        `facts`.

    Raises:
        UserError: they don't fit the schema.
    """
    try:
        TypeAdapter(schema).validate_json(json.dumps(facts))
        json.dumps(facts, allow_nan=False)  # also under keys that the schema doesn't know
    except ValidationError as error:
        raise UserError(f"{path}: {_said(error.errors()[0])} {what_next}") from None
    except ValueError:
        raise UserError(f"{path}: holds NaN, or a number that is too large. {what_next}") from None
    return facts


def need_labels(labels: list[str], tables: Mapping[str, Mapping | None]) -> None:
    """Raise a ValueError if a table by label lacks one; for a schema's validator."""
    for name, table in tables.items():
        for label in labels:
            if table is not None and label not in table:
                raise ValueError(f"{_short(name)} must have every label, but lacks {_short(label)}")


def _said(error: ErrorDetails) -> str:
    field = ".".join(_short(str(part)) for part in error["loc"] if part != "[key]")
    if error["type"] in ("missing", "missing_argument"):
        return f"{field} is missing."
    if error["type"] == "unexpected_keyword_argument":
        return f"{field} is unknown to this version of cxrkeras, and can't be ignored."
    if error["type"] == "value_error":
        rule = str(error["ctx"]["error"])
    elif error["type"] in _MUST_BE:
        rule = f"must be {_MUST_BE[error['type']]}"
    else:
        rule = error["msg"].replace("Input should", "must").replace("should", "must")
    return f"{field} {rule}. Received: {_kind(error['input'])}.".strip()


def _kind(value: Any) -> str:
    """A number as it is; of anything else only its kind, since it may hold anything."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        huge = abs(value) > 1e300
        return "NaN" if value != value else "a huge number" if huge else f"{value:.6g}"
    if isinstance(value, str):
        return "text"
    return f"a list of {len(value)}" if isinstance(value, list) else "a table"


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= 60 else f"{plain[:60]}…"
