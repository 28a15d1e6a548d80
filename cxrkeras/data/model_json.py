"""The contents of `model.json` and `operating_points.json`, checked on writing and on reading.

A new fact is one line in its table. Numbers have bounds, since the file may come with somebody
else's model. Keys that aren't listed are kept and ignored, except under `preparation`: each of its
keys decides pixels, so ignoring an unknown one would give wrong scores.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cxrkeras.data.checked_json import (
    Count,
    Facts,
    Label,
    Labels,
    Share,
    Words,
    checked,
    need_labels,
    read_checked,
)
from cxrkeras.data.preparation import Preparation, Side
from data_prep.files import atomic_write_json

FILE = "model.json"
_GIVE = "Give a run folder of `cxrkeras cv`, or a model folder with model.keras and model.json."

Threshold = Annotated[float, Field(ge=-1, le=1)]
Inflation = Annotated[float, Field(gt=0, le=1e12)]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,60}$")]
Module = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]


class Achieved(Facts):
    """What a threshold achieves; None if a class or the threshold is missing."""

    sensitivity: Share | None = None
    specificity: Share | None = None
    n: Count | None = None
    positives: Count | None = None

    @model_validator(mode="after")
    def _part_of_all(self) -> Self:
        if (self.n is None) != (self.positives is None) or (self.positives or 0) > (self.n or 0):
            raise ValueError("must count the positives among n; give both or neither")
        return self


class Point(Achieved):
    """An operating point of one label; see `evaluation.scores.operating`."""

    threshold: Threshold | None
    origin: Words = Field(alias="from")
    n: Count = 0
    positives: Count = 0
    cross_fitted: Achieved | None = None
    held_out: Achieved | None = None


class Temperature(Facts):
    """p' = σ(logit(p) / temperature + bias)."""

    temperature: Annotated[float, Field(gt=0, le=1e6)]
    bias: Annotated[float, Field(ge=-1e6, le=1e6)]


class Isotonic(Facts):
    """A rising step function through (x, y)."""

    x: list[Share] = Field(min_length=1)
    y: list[Share] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.x) != len(self.y) or sorted(self.x) != self.x or sorted(self.y) != self.y:
            raise ValueError("must have as many rising numbers in x as in y")
        return self


class Calibration(Facts):
    """The calibration of one label; see `evaluation.scores.calibration`."""

    temperature: Temperature | None
    isotonic: Isotonic | None
    n: Count
    positives: Count
    origin: Words = Field(alias="from")


class _Bounds(Facts):
    low: Share | None
    high: Share | None

    def need_both(self, value: float | None) -> Self:
        """Raise a ValueError, for a schema's validator, unless a value has both bounds or none."""
        if (self.low is None) != (self.high is None) or (value is None and self.low is not None):
            raise ValueError("must have a value and both ends of its interval, or no interval")
        return self


class Interval(_Bounds):
    """A score with its interval."""

    value: Share | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        return self.need_both(self.value)


class Scores(Facts):
    """The two scores in `evaluation.evidence.performance`."""

    auroc: Interval
    average_precision: Interval


class LabelScores(Scores):
    """The same for one label."""

    n: Count
    positives: Count


class Group(_Bounds):
    """See `evaluation.evidence.subgroups`."""

    what: Words
    name: Words
    images: Count
    labels: Count
    auroc: Share | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        return self.need_both(self.auroc)


class Constant(Facts):
    """A label whose score is equal for all images of a fold."""

    label: Label
    fold: Words


class Performance(Facts):
    """See `evaluation.evidence.performance`."""

    how: Words
    level: Share
    images: Count
    patients: Count
    per_label: dict[Label, LabelScores]
    macro: Scores
    subgroups: list[Group]
    constant_predictions: list[Constant] = Field(default_factory=list)


class Settings(Facts):
    """The run's settings: the keys of `experiment.toml`, without file locations."""

    source: list[list[Words]] = Field(default_factory=list)


class MadeFrom(Facts):
    """The run and the data of a final model."""

    data: Words | None = None
    with_test: bool = False
    experiment: Settings | None = None


class RunPoints(Facts):
    """`operating_points.json`."""

    format: int
    operating_points: dict[Words, dict[Label, Point]]
    calibration: dict[Label, Calibration]


class Curve(Facts):
    """Of true probabilities `p` and the scores `q` as which they come out."""

    p: list[Share] = Field(min_length=2)
    q: list[Share] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.p) != len(self.q) or not (_rising(self.p) and _rising(self.q)):
            raise ValueError("must have as many numbers in p as in q, each larger than the last")
        return self


class Frozen(Facts):
    """A trunk that the fit left as it was: a digest of graph and weights, and its last layer."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    features: Annotated[str, Field(min_length=1, max_length=200)]


class Grid(Facts):
    """Ranks of scores: the share of a member's out-of-fold scores below each; see `ranks`."""

    score: list[Share] = Field(min_length=1)
    rank: list[Share] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.score) != len(self.rank) or not (_rising(self.score) and _rising(self.rank)):
            raise ValueError("must have as many scores as ranks, each larger than the last")
        return self


class Member(Facts):
    """Of an ensemble: where it lies, its share, and for `ranks` the grid of its scores."""

    folder: Annotated[str, Field(pattern="^members/[0-9]{1,3}$")]
    weight: Annotated[float, Field(gt=0, le=1)]
    ranks: dict[Label, Grid] | None = None


class ModelFacts(Facts):
    """`model.json`; for a run, merged over its folds."""

    labels: Labels
    image_size: Side
    training_prevalence: dict[Label, Share | None]
    kind: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,60}$")] | None = None
    inputs: list[Name] | None = None
    views: Words | None = None
    features: list[Words] = Field(default_factory=list)
    package: list[Module] | None = None
    head: Annotated[str, Field(max_length=200)] | None = None
    frozen: Frozen | None = None
    studies: Literal["study", "patient"] | None = None
    combine: Literal["mean", "logits", "ranks"] | None = None
    members: Annotated[list[Member], Field(min_length=1, max_length=100)] | None = None
    learnt_from: list[Words] | None = None
    inflation: dict[Label, Inflation] | None = None
    distortion: dict[Label, Curve] | None = None
    trained_on: Words | None = None
    preparation: Preparation | None = None
    operating_points: dict[Words, dict[Label, Point]] | None = None
    calibration: dict[Label, Calibration] | None = None
    performance: Performance | None = None
    images: Count | None = None
    run: MadeFrom | None = None
    imported: dict[Words, Any] | None = None

    @model_validator(mode="after")
    def _ensemble(self) -> Self:
        if self.kind != "ensemble":
            return self
        if not self.members or not self.combine:
            raise ValueError("must name members and how to combine them, being an ensemble")
        if abs(sum(member.weight for member in self.members) - 1) > 1e-6:
            raise ValueError("must have members whose weights sum to 1")
        for member in self.members:
            if self.combine == "ranks" and member.ranks is None:
                raise ValueError("must have a grid of ranks for every member")
            need_labels(self.labels, {"members.ranks": member.ranks})
        return self

    @model_validator(mode="after")
    def _image_among_inputs(self) -> Self:
        if self.inputs is not None and "image" not in self.inputs:
            raise ValueError("must have image among its inputs")
        return self

    @model_validator(mode="after")
    def _every_label(self) -> Self:
        points = self.operating_points or {}
        tables = {f"operating_points.{rule}": table for rule, table in points.items()}
        for name in ("training_prevalence", "inflation", "distortion", "calibration"):
            tables[name] = getattr(self, name)
        need_labels(self.labels, tables)
        return self


def _rising(values: list[float]) -> bool:
    return all(low < high for low, high in pairwise(values))


def read_model_json(path: Path) -> dict[str, Any]:
    """Read a `model.json`.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it doesn't fit `ModelFacts`; the first wrong field is named.
    """
    return read_checked(path, ModelFacts, _GIVE)


def write_model_json(folder: Path, facts: dict[str, Any]) -> None:
    """Write a `model.json`; raises a UserError if `read_model_json` wouldn't read it."""
    path = folder / FILE
    atomic_write_json(path, checked(facts, ModelFacts, path, "Nothing was written."))


def check_run_facts(facts: dict[str, Any], run: Path) -> dict[str, Any]:
    """Check a run's facts, merged over its folds; raises a UserError if they don't fit together."""
    return checked(facts, ModelFacts, run, "Run `cxrkeras cv` with the run's own settings again.")
