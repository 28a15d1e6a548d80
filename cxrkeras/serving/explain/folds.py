"""Files to heat maps: which model explains which file, batch by batch, and what comes out of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cxrkeras.evaluation.boxes.heat import peak
from cxrkeras.evaluation.boxes.known_boxes import KnownBoxes
from cxrkeras.evaluation.boxes.localisation import Case, MapBox, boxes_from_map
from cxrkeras.models.heads import Head
from cxrkeras.registry import HEADS
from cxrkeras.serving.explain.batches import BATCH
from cxrkeras.serving.explain.maps import Ensemble, Explainer
from cxrkeras.serving.predict.films import FilmStream, Prepared
from cxrkeras.serving.predict.told import as_arrays
from cxrkeras.serving.predict.unseen import OwnImages
from cxrkeras.serving.predictor.predictor import Member, Predictor
from data_prep.errors import UserError
from data_prep.say import say

_MANY = 64  # images for which compiling a trunk pays


@dataclass(frozen=True)
class Explanation:
    """One film, explained.

    Attributes:
        number: its place among the files.
        path: the file.
        square: (P, P) uint8, the film as prepared.
        fold: the number of the one model that explained it; None for all of them together.
        learnt: whether whatever explained it has learnt from it.
        maps: (K, h, w) float32.
        probability: (K,) float64.
        scores: (K,) float64 before the sigmoid.
        bias: (K,) float64, see `batches.Explained`; None where maps have no such meaning.
        told: what is known of the film beside the picture, of which the model takes some.
    """

    number: int
    path: Path
    square: np.ndarray
    fold: int | None
    learnt: bool
    maps: np.ndarray
    probability: np.ndarray
    scores: np.ndarray
    bias: np.ndarray | None
    told: Mapping[str, str] = field(default_factory=dict, repr=False)

    def boxes(self, column: int) -> list[MapBox]:
        """The boxes of one label's map, in pixels of the prepared film."""
        return boxes_from_map(self.maps[column], len(self.square))

    def peak(self, column: int) -> tuple[float, float] | None:
        """Where one label's map is highest, in pixels of the prepared film."""
        return peak(self.maps[column], len(self.square))


class Explainers:
    """The explainers of a model's members, each made when it is asked for, and of all together.

    Args:
        model: as loaded.
        method: see `ways.way_of`; by default one that all members have.

    Attributes:
        way: the kind of map.
        all: what explains where no fold is asked, in words; `whole` says how, too.
        extras: the inputs beside the image.
        logits: whether scores are logits; else they are what the models give out.

    Raises:
        UserError: a member doesn't have it, or the members' own maps mean different things.
    """

    def __init__(self, model: Predictor, method: str | None):
        self._members, self._method = model.members(), method
        self._model, self.extras = model, model.card.extras
        self._heads: dict[str, Head | None] = {}
        self._made: dict[int, Explainer] = {}
        self._of: dict[int | None, Explainer | Ensemble] = {}
        self.way = self.of(0).way  # says at once what can't be done
        several = "members" in model.card.facts  # a run's are alike
        if several and (ways := self._ways()) != {self.way.meaning}:
            if method is not None:
                raise UserError(
                    f"--map {method}: the members' maps show different things and have no mean: "
                    f"{'; '.join(sorted(ways))}. Take --map gradcam."
                )
            self._method, self._made, self._of = "gradcam", {}, {}  # the one that all of them have
            self.way = replace(self.of(0).way, why=_APART)
        asked = self._numbers if several else (0,)
        self.logits = all(self._member(number).parts.logits for number in asked)
        many = len(self._members) > 1
        self.all = "all models" if many else "the model"
        self.whole = f"{self.all}, whose maps are averaged" if many else self.all

    def of(self, fold: int | None) -> Explainer | Ensemble:
        """One member's, or the ensemble's where `fold` is None."""
        if fold not in self._of:
            self._of[fold] = self._all() if fold is None else self._fold(fold)
        return self._of[fold]

    def _ways(self) -> set[str]:
        return {self._member(number).way.meaning for number in self._numbers}

    @property
    def _numbers(self) -> range:
        return range(len(self._members))

    def _all(self) -> Ensemble:
        weights = [member.weight for member in self._members]
        other = self._model.card.facts.get("combine") or any(one.asked for one in self._members)
        asked = self._model.predict if other else None
        return Ensemble([self._member(number) for number in self._numbers], weights, asked)

    def _fold(self, fold: int) -> Explainer | Ensemble:
        """A member's explainer, or of a fold that was trained several times over the mean's."""
        sizes = [len(card.leaves) for card in self._model.card.members] or [1]
        if self._model.card.run is None or sizes[fold] == 1:
            return self._member(fold)
        first = sum(sizes[:fold])
        return Ensemble([self._member(first + number) for number in range(sizes[fold])])

    def _member(self, number: int) -> Explainer:
        if number not in self._made:
            self._made[number] = self._explainer(number)
        return self._made[number]

    def _explainer(self, number: int) -> Explainer:
        member, trunks = self._members[number], [one.parts for one in self._made.values()]
        if member.head not in self._heads:
            self._heads[member.head] = _head_of(member)
        head = self._heads[member.head]
        how = {"head": head, "box": member.box, "asked": member.asked}
        return Explainer(member.model, self._method, trunks, member.order, **how)


_APART = "the members have no better map in common"


def _head_of(member: Member) -> Head | None:
    """The head that a model was built with; None where that isn't known, or not installed."""
    if not member.head:
        return None
    try:
        return HEADS.make(member.head)
    except UserError as error:
        say(f"Warning: this model's head isn't known here, nor a map of its own. {error}")
        return None


def explain_films(
    explainers: Explainers, side: int, stream: FilmStream, own: OwnImages
) -> Iterator[Explanation | Prepared]:
    """Explain files while the next ones are being decoded.

    Args:
        explainers: of the model.
        side: S that the model sees, pixels.
        stream: the files as prepared squares, entered as a context already.
        own: images of which one model only is to be asked, the one that hasn't seen them.

    Yields:
        Each file once: its explanation, or what `stream` says of a file that can't be used. Files
        of one fold come in order.
    """
    waiting: dict[int | None, list[tuple[int, Prepared]]] = {}
    counts = Counter(map(own.fold_at, stream.files))

    def explained(batch, fold):
        told = explainers.of(fold).explain(
            at_side([film.image for _, film in batch], side),
            traced=counts[fold] > _MANY,
            known=as_arrays([film.told for _, film in batch], explainers.extras),
        )
        for row, (number, film) in enumerate(batch):
            yield Explanation(
                number,
                film.path,
                film.image,
                fold,
                fold is None and own.learnt(film),
                told.maps[row],
                told.probability[row],
                told.scores[row],
                told.bias,
                film.told,
            )

    for number, film in enumerate(stream):
        if film.image is None:
            yield film
            continue
        fold = own.fold_of(film)
        batch = waiting.setdefault(fold, [])
        batch.append((number, film))
        if len(batch) == BATCH:
            yield from explained(waiting.pop(fold), fold)
    for fold, batch in waiting.items():
        yield from explained(batch, fold)


def at_side(squares: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Prepared squares (P, P) as the model sees them: (N, S, S, 1), resized as in training."""
    from cxrkeras.data.images import resized

    images = [square[..., None] for square in squares]
    return np.stack([i if len(i) == side else resized(i, side).numpy() for i in images])


def cases_of(
    told: Explanation, labels: Sequence[str], known: KnownBoxes, patient: str
) -> list[Case]:
    """What the film gives to the localisation scores: one case per label with known boxes."""
    side = len(told.square)
    cases = []
    for column, label in enumerate(labels):
        boxes = known.on(told.path.name, label, side)
        if boxes is not None:
            found = [box.corners for box in told.boxes(column)]
            found = np.array(found, np.float64).reshape(-1, 4)
            name = told.path.name
            cases.append(Case(name, label, patient, boxes, found, told.peak(column), side))
    return cases
