"""Makes one ensemble of runs and models: a model folder that holds all members."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxrkeras.data.distortion import averaged
from cxrkeras.data.model_json import write_model_json
from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.scores.predictions import write_predictions
from cxrkeras.evaluation.scores.selection import METRICS, ROUNDS, Selection
from cxrkeras.models.familiar import FILE as FAMILIAR
from cxrkeras.registry import PREDICTORS
from cxrkeras.serving.predictor import evidence
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.combine import HOW
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.say import say

_MOST = 100


def make_ensemble(
    models: Sequence[Path],
    out: Path,
    how: str = "mean",
    weights: Sequence[float] | None = None,
    select: str | None = None,
) -> Card:
    """Make an ensemble of runs, model folders and other ensembles.

    Args:
        models: two or more, whatever their backbones and image sizes. The files of a run's folds
            are linked where they lie on the same disk, else copied.
        out: the folder to be made, which needs none of the members then.
        how: `mean` of probabilities, `logits` (mean of log odds) or `ranks`.
        weights: positive, one for each model; equal if None.
        select: `auroc` or `average_precision`, to choose members and weights for this macro score
            on their out-of-fold predictions (`evaluation.scores.selection`); None to take all.

    Returns:
        Its card, with `selection` if members were chosen. Operating points, calibration and
        performance are known where all members are runs on the same images and folds.

    Raises:
        UserError: for members with other labels or another --pad or --stretch, ranks of a member
            without out-of-fold predictions, a choice among members that can't be compared, or an
            `out` that isn't empty.
    """
    out = Path(out)
    if how not in HOW:
        raise UserError(f"--combine must be one of {', '.join(HOW)}. Received: {how!r}.")
    shares = _shares(weights, len(models))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} isn't empty. Give another folder.")
    cards = [read_card(path) for path in models]
    _check_alike(cards)
    labels = cards[0].labels
    parts = [evidence.evidence_of(card, labels) for card in cards]
    grids = _grids(cards, parts, labels) if how == "ranks" else []
    known, predictions, tested, told = {}, None, None, {}
    why = evidence.difference(parts)
    if select:
        selection, honest = _selected(select, weights, why, parts, how, grids)
        told = {"selection": _told(selection, select, models)}
        kept = [m for m, count in enumerate(selection.counts) if count]
        cards, parts = [cards[m] for m in kept], [parts[m] for m in kept]
        grids = [grids[m] for m in kept] if grids else []
        shares = [float(selection.counts[m] / selection.counts.sum()) for m in kept]
        known, predictions, tested = evidence.together(parts, how, shares, grids, honest)
    elif why:
        say(f"This ensemble's performance on new images is unknown: {why}.")
    else:
        known, predictions, tested = evidence.together(parts, how, shares, grids)
    facts = _facts(cards, how, shares, grids) | known | told
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            done = Path(scratch, "done")
            _write(done, cards, facts)
            for name, table in ((evidence.FILE, predictions), (evidence.TEST, tested)):
                if table is not None:
                    write_predictions(done / name, table)
            done.replace(out)
    except OSError as error:
        raise UserError(f"--out {out} can't be written: {error.strerror}.") from error
    return read_card(out)


def _selected(metric: str, weights, why: str, parts: Sequence, how: str, grids: Sequence):
    """The choice, and what it predicts where it hasn't seen the fold."""
    if metric not in METRICS:
        raise UserError(f"--select must be one of {', '.join(METRICS)}. Received: {metric!r}.")
    if weights is not None:
        raise UserError("--select chooses the weights. Received: --weights too. Leave one out.")
    if why:
        raise UserError(
            f"--select takes out-of-fold predictions of the same images and folds, but {why}. Give "
            "runs with the same --folds-file."
        )
    selection = evidence.selected(parts, how, grids, metric)
    return selection, evidence.nested(parts, how, grids, selection)


def _told(selection: Selection, metric: str, models: Sequence[Path]) -> dict:
    """What `model.json` says of a choice."""
    names = [Path(model).name for model in models]
    scores = selection.apparent, selection.nested
    return {
        "metric": metric,
        "rounds": ROUNDS,
        "candidates": names,
        "counts": selection.counts.tolist(),
        "by_fold": {fold: counts.tolist() for fold, counts in selection.by_fold.items()},
        "apparent": scores[0],
        "nested": scores[1],
        "optimism": None if None in scores else scores[0] - scores[1],
    }


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    if not 2 <= count <= _MOST:
        raise UserError(f"An ensemble must have 2 to {_MOST} members. Received: {count}.")
    if weights is None:
        return [1 / count] * count
    if len(weights) != count or not all(0 < weight < float("inf") for weight in weights):
        told = ", ".join(f"{weight:g}" for weight in weights)
        raise UserError(
            f"--weights must be {count} positive numbers, one per member. Received: {told}."
        )
    return [weight / sum(weights) for weight in weights]


def _check_alike(cards: Sequence[Card]) -> None:
    first = cards[0]
    for card in cards[1:]:
        if set(card.labels) != set(first.labels):
            only = sorted({*card.labels} ^ {*first.labels})
            raise UserError(
                f"Members of an ensemble must have the same labels. {first.path} and {card.path} "
                f"don't both have: {', '.join(only)}. Give models of one set of labels."
            )
    of = {
        (leaf.preparation.pad, leaf.preparation.stretch) for card in cards for leaf in card.leaves
    }
    if len(of) > 1:
        raise UserError(
            "Members of an ensemble must see films prepared alike, except for their size. These "
            "differ in --pad or --stretch. Give models whose data were prepared in one way."
        )
    if len({leaf.facts.get("studies") for card in cards for leaf in card.leaves}) > 1:
        raise UserError(
            "Members of an ensemble must answer for the same films: some answer film by film, or "
            "for a patient, others for a study. Give models of one recipe."
        )
    if any(not card.probabilities for card in cards):
        raise UserError(
            "A mean of ranks can't be a member: its scores aren't probabilities. Give its own "
            "members."
        )


def _grids(cards: Sequence[Card], parts: Sequence, labels: Sequence[str]) -> list[dict]:
    for card, part in zip(cards, parts, strict=True):
        if part is None:
            raise UserError(
                f"--combine ranks needs each member's own out-of-fold predictions; {card.path} has "
                "none. Give its run, or another --combine."
            )
    return [evidence.grids_of(part, labels) for part in parts]


def _facts(cards: Sequence[Card], how: str, shares: Sequence[float], grids: Sequence[dict]) -> dict:
    """What `model.json` says of the ensemble, except its performance."""
    labels = cards[0].labels
    preparation, side = _seen(cards)
    distortion = averaged([_in_order(card, labels) for card in cards], shares)
    if how == "ranks":
        distortion = None
    trained_on = dict.fromkeys(card.facts.get("trained_on") or "data not named" for card in cards)
    tables = [card.facts["training_prevalence"] for card in cards]
    return {
        "kind": "ensemble",
        "labels": list(labels),
        "image_size": side,
        "trained_on": " and ".join(trained_on),
        "training_prevalence": evidence.means(tables, shares, labels),
        **(distortion.as_facts(labels) if distortion else {}),
        "preparation": preparation.as_json(),
        "combine": how,
        "learnt_from": sorted({name for card in cards for name in card.learnt_from}),
        "members": [
            {"folder": f"members/{n}", "weight": share} | ({"ranks": grids[n]} if grids else {})
            for n, share in enumerate(shares)
        ],
    }


def _in_order(card: Card, labels: Sequence[str]):
    return replace(card, facts={**card.facts, "labels": list(labels)}).distortion


def _seen(cards: Sequence[Card]) -> tuple[Preparation, int]:
    """How the ensemble's own input is prepared, and its side.

    As the members', where all see the same; else the largest prepared square, which each resizes.
    """
    views = {(leaf.preparation, leaf.image_size) for card in cards for leaf in card.leaves}
    if len(views) == 1:
        return views.pop()
    largest = max((one for one, _ in views), key=lambda one: one.image_size)
    return largest, largest.image_size


def _write(folder: Path, cards: Sequence[Card], facts: dict) -> None:
    folder.mkdir(parents=True)
    for number, card in enumerate(cards):
        _copy(card, folder / "members" / str(number))
    write_model_json(folder, facts)


def _copy(card: Card, folder: Path) -> None:
    """A member as a model folder of its own."""
    folder.mkdir(parents=True)
    files = dict(PREDICTORS.make(card.kind).files(card))
    if (card.home / FAMILIAR).is_file():
        files[FAMILIAR] = card.home / FAMILIAR
    for name, file in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), place)
        except OSError:  # another disk, or one without links
            shutil.copyfile(file, place)
    for number, member in enumerate(card.members):
        _copy(member, folder / "members" / str(number))
    facts = {name: fact for name, fact in card.facts.items() if name != "run"}
    if card.members and "members" not in facts:  # a run
        share = 1 / len(card.members)
        facts |= {
            "kind": "ensemble",
            "combine": "mean",
            "learnt_from": card.learnt_from,
            "members": [
                {"folder": f"members/{n}", "weight": share} for n in range(len(card.members))
            ],
        }
    write_model_json(folder, facts | {"preparation": card.preparation.as_json()})
