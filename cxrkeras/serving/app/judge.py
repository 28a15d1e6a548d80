"""What answers for a film: a model in this process, or a server elsewhere."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.evidence.doubts import UNMEASURED
from cxrkeras.evaluation.rules import Rule
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.models.familiar.films import LIMIT
from cxrkeras.serving.app.reading import Seen
from cxrkeras.serving.predict.caution import films_behind, in_words
from cxrkeras.serving.predict.films import Prepared
from cxrkeras.serving.predict.predict import Row, answer, learnt_words
from cxrkeras.serving.predict.reached import reached
from cxrkeras.serving.predict.told import as_arrays, unknown_in
from cxrkeras.serving.predict.unseen import own_images
from cxrkeras.serving.predictor.card import Card, one_picture
from cxrkeras.serving.server.client import grey_png, predict_remote
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.serving.explain.mapping.ways import Way
    from cxrkeras.serving.explain.maps import Ensemble
    from cxrkeras.serving.predictor.predictor import Predictor


@dataclass(frozen=True)
class Finding:
    """One label of one film.

    Attributes:
        label: its name.
        probability: the model's output, in [0, 1]; the page calls it the score where there is
            `adjusted`.
        adjusted: the same with the loss's inflation undone; None if there is none.
        prevalence: of the label in the training data; None where not known.
        threshold: the operating point, on the scale of `probability`; None if there is none.
        origin: where the operating point comes from, in words.
        doubt: what must be said of the operating point, see `evidence.doubts`; "" for none.
        sensitivity, specificity: of the operating point on films that it wasn't fitted on; None
            where not known.
        adjusted_threshold: the operating point on the scale of `adjusted`; None if there is none.
    """

    label: str
    probability: float
    adjusted: float | None
    prevalence: float | None
    threshold: float | None
    origin: str
    doubt: str = ""
    sensitivity: float | None = None
    specificity: float | None = None
    adjusted_threshold: float | None = None

    @property
    def meant(self) -> float:
        """What people are shown: the probability that is meant, as far as it is known."""
        return self.probability if self.adjusted is None else self.adjusted

    @property
    def bound(self) -> float | None:
        """The operating point on the scale of `meant`."""
        return self.threshold if self.adjusted is None else self.adjusted_threshold

    @property
    def positive(self) -> bool | None:
        """Whether the probability exceeds the operating point; None if there is none."""
        return None if self.threshold is None else self.probability > self.threshold


class Judge(Protocol):
    """What the page needs of a model.

    Attributes:
        labels: K names.
        name: of the model, for people.
        about: short lines on it.
        rule: of the operating points, in words.
        reached: on which films sensitivity and specificity are known, in words; "" where not.
        preparation: how films are prepared for it.
        no_maps: why there are no heat maps; "" where there are.
        unit: of the maps' values.
        extras: what it takes beside the picture.
        distorted: whether findings have `adjusted`.
        figure: what `Finding.meant` is: a "Probability", or no more than a "Score".
    """

    labels: tuple[str, ...]
    name: str
    about: tuple[str, ...]
    rule: str
    reached: str
    preparation: Preparation
    no_maps: str
    unit: str
    distorted: bool
    figure: str
    extras: tuple[str, ...]

    def findings(self, seen: Seen) -> tuple[Finding, ...]:
        """K findings in the order of `labels`."""

    def notes(self, seen: Seen) -> tuple[str, ...]:
        """What is to be said of the film beside its own warnings, in short lines."""

    def unlike(self, seen: Seen) -> str:
        """How unlike the training films it is, in a sentence; "" where not known."""

    def heat(self, seen: Seen, label: str) -> np.ndarray:
        """(h, w) float32, the label's map; its cells tile the square."""


class LocalJudge:
    """A loaded model.

    Args:
        card: what is known of it.
        model: itself.
        rule: of the operating points.

    Raises:
        UserError: where it lacks the operating points.
    """

    def __init__(self, card: Card, model: "Predictor", rule: Rule):
        one_picture(card)
        self._card, self._model, self._rule = card, model, rule
        self._reached = reached(card.operating_points(rule), card.labels, card.count)
        self.reached = self._reached.where
        self._own, self._compared = own_images(card), films_behind(card)
        self._lock, self.extras = threading.Lock(), card.extras
        self.labels, self.name, self.rule = card.labels, card.path.resolve().name, str(rule)
        self.preparation, self.distorted = card.preparation, card.distorted
        self.figure = card.figure.capitalize()
        self._explainer, self.no_maps = _explainer(model)
        way = self._explainer.way if self._explainer else None
        self.unit = way.unit if way else ""
        self.about = tuple(_about(card, _maps(model, way)))

    def findings(self, seen: Seen) -> tuple[Finding, ...]:
        """As `Judge` says."""
        with self._lock:
            scores = self._model.predict(self._inputs(seen))
        told = answer(self._card, self._rule, None, [Row(Path(), "", ())], scores)
        known = self._card.facts["training_prevalence"]
        bounds = dict.fromkeys(self.labels)
        if told.distorted:
            cuts = self._card.meant(thresholds_of(told.points, self.labels))
            bounds = dict(zip(self.labels, map(_known, cuts), strict=True))
        return tuple(
            Finding(
                label,
                float(told.probability[0, k]),
                float(told.adjusted[0, k]) if told.distorted else None,
                known[label],
                told.points[label]["threshold"],
                told.points[label]["from"],
                told.doubt(label),
                self._reached.sensitivity[k],
                self._reached.specificity[k],
                bounds[label],
            )
            for k, label in enumerate(self.labels)
        )

    def notes(self, seen: Seen) -> tuple[str, ...]:
        """As `Judge` says."""
        film = Prepared(Path(), seen.square, digest=seen.digest)
        return (*learnt_words(film, self._own), *_told(seen, self.extras))

    def unlike(self, seen: Seen) -> str:
        """As `Judge` says."""
        if not self._compared:
            return ""
        with self._lock:
            far = self._model.run_all(self._inputs(seen)).unlike[0]
        return in_words(float(far), LIMIT)

    def heat(self, seen: Seen, label: str) -> np.ndarray:
        """As `Judge` says."""
        if self._explainer is None:
            raise UserError(self.no_maps)
        with self._lock:
            known = as_arrays([seen.told], self.extras)
            column = self.labels.index(label)
            told = self._explainer.explain(self._images(seen), [column], known=known)
        return told.maps[0, 0] + (0 if told.bias is None else told.bias[0])

    def _inputs(self, seen: Seen) -> dict[str, np.ndarray]:
        return {IMAGE: self._images(seen), **as_arrays([seen.told], self.extras)}

    def _images(self, seen: Seen) -> np.ndarray:
        """(1, S, S, 1) uint8, resized as in training."""
        from cxrkeras.serving.explain.folds import at_side

        return at_side([seen.square], self._model.image_size)


class RemoteJudge:
    """A model that TensorFlow Serving holds, as `cxrkeras export` made it.

    Args:
        server: its address, as `client.predict_remote` takes it.
        name: the model's name there.

    Raises:
        UserError: it can't be reached, or answers with something else.
    """

    def __init__(self, server: str, name: str):
        self._server, self.name, self.rule = server, name, "as the server says"
        found = predict_remote(server, name, [grey_png(_RAMP)])
        self.labels, self.extras = found.labels, found.inputs
        self.preparation, self.unit = Preparation(), ""
        self.distorted, self.figure = False, "Score"  # what its loss did isn't said
        self.reached = ""
        self.no_maps = "a server gives scores but no feature maps."
        told = f"Before you believe it: {UNMEASURED}"
        self.about = (f"The model {name} on {server} answers.", told)

    def findings(self, seen: Seen) -> tuple[Finding, ...]:
        """As `Judge` says.

        Raises:
            UserError: as in `predict_remote`, or the server can't use the film.
        """
        known = as_arrays([seen.told], self.extras)
        told = predict_remote(self._server, self.name, [seen.png], known=known)
        if not told.valid[0]:
            raise UserError("The server couldn't use this film.")
        return tuple(
            Finding(label, float(p), None, None, _known(t), "the server")
            for label, p, t in zip(told.labels, told.probability[0], told.thresholds, strict=True)
        )

    def notes(self, seen: Seen) -> tuple[str, ...]:
        """What the model was told: a server doesn't say what its model learnt from."""
        return _told(seen, self.extras)

    def unlike(self, seen: Seen) -> str:
        """A server doesn't say."""
        return ""

    def heat(self, seen: Seen, label: str) -> np.ndarray:
        """Never: `no_maps` says why."""
        raise UserError(self.no_maps)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


_RAMP = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)  # asks for the labels


def _told(seen: Seen, extras: Sequence[str]) -> tuple[str, ...]:
    """What the model takes beside the picture, and whether it was known; never the values."""
    if not extras:
        return ()
    lacking = unknown_in(seen.told, extras)
    known = [name for name in extras if name not in lacking]
    parts = {"from the file's header": known, "unknown": lacking}
    told = (f"{', '.join(names)} ({where})" for where, names in parts.items() if names)
    return (f"The model also takes {'; '.join(told)}.",)


def _explainer(model: "Predictor") -> tuple["Ensemble | None", str]:
    from cxrkeras.serving.explain.folds import Explainers

    try:
        return Explainers(model, None).of(None), ""
    except UserError as error:
        return None, str(error)


_CAM = (
    "Heat maps are class activation maps plus the bias: their mean is the logit of the label's "
    "score."
)
_CAM_OF_PART = "Heat maps are class activation maps, laid where the model looks."


def _who(card: Card) -> str:
    if card.count < 2:
        return ""
    each = ", one for each fold" if card.run is not None else ""
    what = "are the mean" if card.probabilities else "are ranks, the mean of those"
    return f"Answers {what} of {card.count} models{each}."


def _maps(model: "Predictor", way: "Way | None") -> str:
    if way is None:
        return ""
    if way.method != "cam":
        return f"Heat maps are {way.meaning}."
    return _CAM_OF_PART if any(one.box for one in model.members()) else _CAM


def _about(card: Card, maps: str) -> list[str]:
    lines = [_who(card)]
    trained_on = card.facts.get("trained_on")
    lines.append(f"Trained on {trained_on}." if trained_on else "")
    lines.append(f"It sees {card.image_size} by {card.image_size} pixels.")
    lines.append(maps)
    lines.append(card.alone)
    lines += [f"Before you believe it: {doubt}" for doubt in card.doubts()]
    return [line for line in lines if line]
