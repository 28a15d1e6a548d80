"""Cards of what lies in a folder: a model's `model.json`, or a run's merged over its folds."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.distortion import Distortion, averaged
from cxrkeras.data.model_json import FILE, check_run_facts, read_model_json
from cxrkeras.data.preparation import Preparation, preparation_of
from cxrkeras.evaluation.evidence.out_of_fold import read_operating_points
from cxrkeras.evaluation.evidence.settings import data_of
from cxrkeras.evaluation.run_folder import FoldFolder, RunFolder
from cxrkeras.evaluation.scores.operating import prevalence_points
from cxrkeras.evaluation.scores.predictions import TEST_FOLD
from cxrkeras.serving.predictor.card import Card, run_above
from data_prep.errors import UserError
from data_prep.say import say

_GIVE = "Give a run folder of `cxrkeras cv`, or a model folder with model.keras and model.json."
_KERAS, _ENSEMBLE = "keras", "ensemble"
_DEEPEST = 5  # ensembles of ensembles; a folder may be a link to itself


def read_card(path: Path) -> Card:
    """Read what a run folder, a model folder or a `.keras` file with `model.json` beside says.

    Raises:
        UserError: for anything else, an unfinished run, or parts that don't fit each other.
    """
    path = Path(path)
    run = RunFolder(path)
    if run.experiment.is_file() or run.fold_table.is_file():
        return _run(path)
    return _model(path, _DEEPEST)


def _model(path: Path, deepest: int) -> Card:
    is_file = path.suffix == ".keras" and path.is_file()
    home = path.parent if is_file else path
    file = path if is_file else path / "model.keras"
    if not file.is_file() and not (home / FILE).is_file():
        raise UserError(f"There is no model at {path}. {_GIVE}")
    facts, run = _facts(home / FILE), run_above(home)
    kind = facts.get("kind") or _KERAS
    if kind == _KERAS and not file.is_file():
        raise UserError(f"There is no model at {path}. {_GIVE}")
    facts["operating_points"] = {
        **_reached_in(run, _from_prevalence(facts)),
        **(facts.get("operating_points") or {}),
    }
    preparation = _preparation([facts], run)
    if kind == _KERAS:
        return Card(path, facts, preparation, kind, file=file)
    own = file if file.is_file() else None
    return Card(path, facts, preparation, kind, own, members=_members(home, facts, deepest))


def _members(home: Path, facts: dict, deepest: int) -> tuple[Card, ...]:
    """Those of an ensemble, whose labels are its own in any order."""
    noted = facts.get("members") or []
    if noted and not deepest:
        raise UserError(f"{home}: ensembles may be nested at most {_DEEPEST} deep.")
    cards = tuple(_model(home / one["folder"], deepest - 1) for one in noted)
    for card in cards:
        if set(card.labels) != set(facts["labels"]):
            raise UserError(
                f"{card.path} has other labels than the ensemble that it is of. Make it again with "
                "`cxrkeras ensemble`."
            )
    return cards


def _reached_in(run: Path | None, points: dict[str, dict[str, dict]]) -> dict:
    """A fold's points with what the run's models reach out of fold, where that is known."""
    try:
        known = read_operating_points(run)["operating_points"] if run else {}
    except UserError:  # the run isn't finished
        known = {}
    return {
        rule: {
            label: point | _cross_fitted(known.get(rule, {}).get(label, {}))
            for label, point in by_label.items()
        }
        for rule, by_label in points.items()
    }


def _cross_fitted(point: dict) -> dict:
    return {"cross_fitted": point["cross_fitted"]} if point.get("cross_fitted") else {}


def _run(run: Path) -> Card:
    folders = _finished_folds(run)
    cards = [_facts(folder.card) for folder in folders]
    first = cards[0]
    for name in ("labels", "image_size"):
        if any(card[name] != first[name] for card in cards):
            raise UserError(
                f"The folds' models of {run} differ in {name.replace('_', ' ')}: they aren't an "
                "ensemble. Give one of them: RUN/folds/K."
            )
    fitted = read_operating_points(run)
    distortion = averaged([Distortion.from_facts(card, card["labels"]) for card in cards])
    facts = {
        "labels": first["labels"],
        "image_size": first["image_size"],
        "trained_on": first.get("trained_on"),
        "training_prevalence": _means(cards, "training_prevalence"),
        **(distortion.as_facts(first["labels"]) if distortion else {}),
        "operating_points": fitted["operating_points"],
        "calibration": fitted["calibration"],
    }
    if beside := sorted({films for card in cards for films in card.get("learnt_from") or ()}):
        facts["learnt_from"] = beside
    check_run_facts(facts, run)
    preparation = _preparation(cards, run)
    members = tuple(
        _fold(folder, card, preparation) for folder, card in zip(folders, cards, strict=True)
    )
    facts |= {"preparation": preparation.as_json()}
    return Card(run, facts, preparation, _ENSEMBLE, members=members, run=run)


def _fold(folder: FoldFolder, facts: dict, preparation: Preparation) -> Card:
    """A fold's model, or its trainings' models as one."""
    kind = facts.get("kind") or _KERAS
    if kind != _ENSEMBLE:
        return Card(folder.path, facts, preparation, kind, _file_of(folder))
    members = _members(folder.path, facts, _DEEPEST)
    return Card(folder.path, facts, preparation, kind, members=members)


def _finished_folds(run: Path) -> list[FoldFolder]:
    try:
        folds = pd.read_csv(RunFolder(run).fold_table, dtype=str)["fold"].unique().tolist()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run} isn't a complete run folder: folds.csv can't be read "
            f"({type(error).__name__}). {_GIVE}"
        ) from None
    numbers = sorted(int(fold) for fold in folds if fold != TEST_FOLD)
    folders = [RunFolder(run).fold(number) for number in numbers]
    whole = [fold for fold in folders if fold.facts.is_file() and _has_model(fold)]
    again = f"cxrkeras cv --config {RunFolder(run).experiment} --out {run}"
    if len(whole) < len(folders):
        raise UserError(
            f"{run} has {len(whole)} of {len(folders)} folds finished. Finish it: {again}"
        )
    if not RunFolder(run).predictions.is_file():
        raise UserError(f"A finished run has predictions.csv; {run} doesn't. Create it: {again}")
    return folders


def _file_of(fold: FoldFolder) -> Path | None:
    return fold.model if fold.model.is_file() else None


def _has_model(fold: FoldFolder) -> bool:
    """Of a kind with files of its own, the kind says on loading what is missing."""
    if fold.has_model or not fold.card.is_file():
        return fold.has_model
    return (_facts(fold.card).get("kind") or _KERAS) not in (_KERAS, _ENSEMBLE)


def _facts(path: Path) -> dict:
    """A `model.json`, checked."""
    try:
        return read_model_json(path)
    except FileNotFoundError:
        raise UserError(
            "A model.keras needs a model.json beside it, which says what its outputs are. Not "
            f"found: {path}. {_GIVE}"
        ) from None


def _vectors(cards: list[dict], key: str) -> np.ndarray:
    """(M, K) float64, NaN where not known."""
    labels = cards[0]["labels"]
    return np.array([[card[key][name] for name in labels] for card in cards], dtype=np.float64)


def _means(cards: list[dict], key: str) -> dict[str, float | None]:
    columns = _vectors(cards, key).T
    return {
        name: float(np.nanmean(column)) if np.isfinite(column).any() else None
        for name, column in zip(cards[0]["labels"], columns, strict=True)
    }


def _from_prevalence(facts: dict) -> dict[str, dict[str, dict]]:
    """A model's operating points that need no predictions."""
    labels = facts["labels"]
    if facts.get("combine") == "ranks":
        told = "a mean of ranks is held against no prevalence"
        return {"prevalence": {name: {"threshold": None, "from": told} for name in labels}}
    prevalence = _vectors([facts], "training_prevalence")
    return prevalence_points(labels, prevalence, [Distortion.from_facts(facts, labels)])


def _preparation(cards: list[dict], run: Path | None) -> Preparation:
    """As `model.json` says; of models from before it did, as the run's dataset says."""
    noted = cards[0].get("preparation")
    found = Preparation.from_json(noted) if noted else None
    if found is None and run is not None and (data := data_of(run)):
        found = preparation_of(data)
    if found is None:
        found = Preparation()
        say(
            "Warning: it isn't recorded how this model's images were prepared. Assuming what "
            f"`cxrkeras prep` does by default ({found.image_size} px, no padding, no stretching)."
        )
    return found
