"""How a dataset was prepared: its images, so that serving can do the same, and its patients."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from cxrkeras.data.checked_json import checked
from data_prep.errors import UserError
from data_prep.files import read_json

LARGEST_SIDE = 8192
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]


def _rising(percentiles: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise ValueError("must be two percentiles, 0 <= low < high <= 100")
    return percentiles


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Preparation:
    """What `cxrkeras prep` did to each image, with its defaults; checked on construction.

    Args:
        image_size: side of the prepared square images, in pixels.
        pad: whether the aspect ratio was kept.
        stretch: the percentiles that became black and white; None for the file's own grey values.
    """

    image_size: Side = 512
    pad: bool = False
    stretch: Annotated[tuple[float, float], AfterValidator(_rising)] | None = None

    def as_json(self) -> dict:
        """For `model.json`; `from_json` reads it back."""
        return asdict(self) | {"stretch": list(self.stretch) if self.stretch else None}

    @classmethod
    def from_json(cls, facts: Mapping) -> "Preparation":
        """Read a `model.json`'s `preparation`, or a `dataset.json`, which has the same keys.

        Raises:
            ValueError: the facts aren't those of a preparation.
        """
        return TypeAdapter(cls).validate_json(json.dumps(_own_keys(facts)))


def files_of(dataset: Path) -> tuple[Path, Path]:
    """A prepared dataset's description, and the table of its images.

    Raises:
        UserError: one isn't there.
    """
    description, manifest = dataset / "dataset.json", dataset / "manifest.csv"
    if not description.is_file() or not manifest.is_file():
        raise UserError(
            "A prepared dataset is a folder with dataset.json and manifest.csv. "
            f"Received: {dataset}. Make one with `cxrkeras prep`."
        )
    return description, manifest


def preparation_of(dataset: Path) -> Preparation | None:
    """How a prepared dataset was made; None if the folder is missing or doesn't say.

    Raises:
        UserError: what it says is impossible.
    """
    description = dataset / "dataset.json"
    try:
        facts = read_json(description)
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict) or "image_size" not in facts:
        return None
    checked(_own_keys(facts), Preparation, description, "Prepare the dataset again.")
    return Preparation.from_json(facts)


def linked_patients(dataset: Path) -> dict[str, int]:
    """How many patient numbers proved, by copies of films, to belong to the same persons.

    Returns:
        `merged`: the number that `cxrkeras prep` merged; `apart`: the number left as they are.
        Zeros are left out.
    """
    try:
        counts = read_json(dataset / "dataset.json")["counts"]
        found = {name: counts.get(f"patients_{name}") for name in ("merged", "apart")}
        return {name: int(number) for name, number in found.items() if number}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _own_keys(facts: Mapping) -> dict:
    return {field.name: facts[field.name] for field in fields(Preparation) if field.name in facts}
