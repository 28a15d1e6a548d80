"""What is to be reported of a film, and by what: the same for every kind of report."""

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version

import numpy as np

from cxrkeras.evaluation.rules import Rule
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predict.caution import in_words
from cxrkeras.serving.predict.predict import Answer
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.reporting.codes import Coded, code_of
from data_prep.errors import UserError

NOBODY = "Made by a program and checked by nobody."
_SPACE = uuid.UUID("6f2c5c1e-7d0b-5c6a-9a55-0f3b8f6f2a4d")
_DIGITS = 6  # of a number in a report


@dataclass(frozen=True)
class Said:
    """What is said of one label of one film.

    Attributes:
        label: its name.
        code: of the finding.
        probability: the model's own, in [0, 1], which `positive` goes by.
        adjusted: with the loss's distortion undone; None where there is none.
        calibrated: fitted out of fold; None where not asked for.
        prevalence: in the training data; None where unknown.
        threshold: the operating point; None where there is none.
        origin: where that comes from.
        positive: whether the probability is above the threshold.
        doubt: what must be said of the operating point and the decision; "" where nothing is.
    """

    label: str
    code: Coded
    probability: float
    adjusted: float | None
    calibrated: float | None
    prevalence: float | None
    threshold: float | None
    origin: str
    positive: bool | None
    doubt: str


@dataclass(frozen=True)
class Algorithm:
    """What has said it.

    Attributes:
        name: of the program and the model.
        version: of the program.
        parameters: sentences `name: value`.
    """

    name: str
    version: str
    parameters: tuple[str, ...]

    @property
    def uid(self) -> str:
        """A DICOM UID that is equal for equal algorithms."""
        return uid_of("device", self.name, self.version, *self.parameters)


def said_of(answer: Answer, number: int) -> tuple[Said, ...]:
    """What an answer says of one of its readable films, label by label."""
    found = []
    for k, label in enumerate(answer.card.labels):
        point, decision = answer.points[label], answer.positive[number, k]
        found.append(
            Said(
                label=label,
                code=code_of(label),
                probability=_digits(answer.probability[number, k]),
                adjusted=_digits(answer.adjusted[number, k]) if answer.distorted else None,
                calibrated=None
                if answer.calibrated is None
                else _digits(answer.calibrated[number, k]),
                prevalence=_digits(answer.card.facts["training_prevalence"][label]),
                threshold=_digits(point["threshold"]),
                origin=point["from"],
                positive=None if np.isnan(decision) else bool(decision),
                doubt=" ".join(filter(None, (answer.doubt(label), _withheld(answer, number, k)))),
            )
        )
    return tuple(found)


def remarks_of(answer: Answer, number: int) -> tuple[str, ...]:
    """Sentences on one of an answer's readable films, beside what is said of its labels."""
    row = answer.rows[number]
    far = (in_words(row.unlike, answer.limit),) if answer.flagged[number] else ()
    return (*row.warnings, *far)


def _withheld(answer: Answer, number: int, k: int) -> str:
    if answer.withheld is None or not answer.withheld[number, k]:
        return ""
    return "The decision is withheld: the probability lies too near to the operating point."


def algorithm_of(card: Card, rule: Rule, calibration: str | None = None, *more: str) -> Algorithm:
    """The algorithm that a card describes.

    Args:
        card: of the model.
        rule: of the operating points.
        calibration: the method, or None.
        more: further parameters.
    """
    facts = {
        "model": card.path.resolve().name,
        "models": card.count or "",
        "combined by": card.facts.get("combine", "mean") if card.count > 1 else "",
        "sha256 of the weights": _weights(card),
        "trained on": card.facts.get("trained_on") or "",
        "operating point": str(rule),
        "calibration": calibration or "",
        "answers for": f"all films of a {card.studies} together" if card.studies else "",
    }
    told = tuple(f"{name}: {value}" for name, value in facts.items() if value)
    return Algorithm("cxrkeras", version("cxrkeras"), (*told, *more))


def _weights(card: Card) -> str:
    """A digest of what answers; "" for a model that a server holds."""
    digest = hashlib.sha256()
    for leaf in card.leaves if card.kind else ():
        for _, path in sorted(PREDICTORS.make(leaf.kind).files(leaf).items()):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if card.kind else ""


def digest_of(said: tuple[Said, ...], remarks: tuple[str, ...]) -> str:
    """Equal for equal contents of reports."""
    content = json.dumps([[asdict(one) for one in said], remarks])
    return hashlib.sha256(content.encode()).hexdigest()


def uid_of(*parts: str) -> str:
    """A UID (PS3.5 B.2: a UUID's number below 2.25) that follows from texts alone."""
    return f"2.25.{uuid_of(*parts).int}"


def uuid_of(*parts: str) -> uuid.UUID:
    """A name-based UUID (RFC 9562, version 5) that follows from texts alone."""
    return uuid.uuid5(_SPACE, "\0".join(parts))


def need(package: str, extra: str, option: str) -> None:
    """Check that the package is there that writes a kind of report.

    Raises:
        UserError: naming the extra that brings it.
    """
    try:
        import_module(package)
    except ImportError as error:
        raise UserError(
            f"{option} needs {package}, which isn't installed. Install: pip install "
            f"'cxrkeras[{extra}]'"
        ) from error


def _digits(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(f"{value:.{_DIGITS}g}")
