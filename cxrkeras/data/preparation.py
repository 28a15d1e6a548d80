"""How a dataset was prepared: its images, so that a served model's are alike, and its patients."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Preparation:
    """What `cxrkeras prep` did to each image; the defaults are its own.

    Args:
        image_size: the side of the prepared squares in pixels.
        pad: whether the aspect was kept.
        stretch: the percentiles that became black and white; None = the file's own grey.
    """

    image_size: int = 512
    pad: bool = False
    stretch: tuple[float, float] | None = None

    def as_json(self) -> dict:
        """For `model.json`; `from_json` reads it back."""
        return asdict(self) | {"stretch": list(self.stretch) if self.stretch else None}

    @classmethod
    def from_json(cls, facts: Mapping) -> "Preparation":
        """Of a `model.json`'s `preparation`, or of a `dataset.json`, which has the same keys.

        Raises:
            KeyError, TypeError, ValueError: where they are no such facts.
        """
        stretch = facts.get("stretch")
        low_high = None if stretch is None else (float(stretch[0]), float(stretch[1]))
        return cls(int(facts["image_size"]), bool(facts.get("pad", False)), low_high)


def preparation_of(dataset: Path) -> Preparation | None:
    """Of a prepared dataset's folder; None where it isn't there or doesn't say."""
    try:
        facts = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
        return Preparation.from_json(facts)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def linked_patients(dataset: Path) -> dict[str, int]:
    """How many patient numbers copies of films proved to be fewer persons.

    Returns:
        `merged`: made one for each person by `cxrkeras prep`; `apart`: left as they are. Only
        those that there are.
    """
    try:
        counts = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["counts"]
    except (OSError, ValueError, KeyError, TypeError):
        counts = {}
    found = {name: counts.get(f"patients_{name}") for name in ("merged", "apart")}
    return {name: int(number) for name, number in found.items() if number}
