"""External validation: a model asked about another hospital's films, and scored there."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.dataset import PreparedDataset, load_dataset
from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.preparation import Preparation, preparation_of
from cxrkeras.evaluation.evidence.evidence import fold_numbers, row_distortion
from cxrkeras.evaluation.evidence.settings import data_of, run_settings
from cxrkeras.evaluation.external.report import is_external, write_external
from cxrkeras.evaluation.external.validate import Side, validate
from cxrkeras.evaluation.rules import Rule
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, read_predictions
from cxrkeras.models.familiar.films import LIMIT
from cxrkeras.runs.sources import Dataset, parse_rows, parse_source
from cxrkeras.serving.predictor.card import Card, check_extras
from cxrkeras.serving.predictor.read import read_card
from data_prep.errors import UserError
from data_prep.files import read_json
from data_prep.outputs import check_folder
from data_prep.progress import Steps
from data_prep.say import say
from data_prep.tables.vocabulary import folded

_UNCERTAIN = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}
_BLANK = {"zeros": 0.0, "ignore": np.nan}
_ELSEWHERE = "elsewhere"  # in the place of a fold
_FEW = 2  # films
_TARGET = "the run"


def validate_elsewhere(
    model: Path,
    data: Path,
    out: Path,
    *,
    overwrite: bool = False,
    rule: Rule | None = None,
    uncertain: str = "ignore",
    blank: str = "zeros",
    batch_size: int = 16,
) -> dict:
    """Predict another hospital's films, score the answers, and compare them with those out of fold.

    Films of the run's own data and its sources', copies of them, and films of their patients are
    left out, and said.

    Args:
        model: a run, whose folds answer as one, or a model folder.
        data: a prepared dataset.
        out: the folder for `external.json`, `predictions.csv` and `external.html`.
        overwrite: replace an earlier validation in it.
        rule: the operating point that is shown first; the model's default if None.
        uncertain: what -1 counts as: `ignore`, `zeros` or `ones`.
        blank: what a blank counts as: `zeros` or `ignore`.
        batch_size: images at a time.

    Returns:
        What was written to `external.json`, see `evaluation.external.validate`.

    Raises:
        UserError: the model or the data can't be used, share no label, or no film is left.
    """
    check_folder(out, "evaluate --run", is_external, overwrite=overwrite)
    card, dataset = read_card(model), load_dataset(data)
    check_extras(card)
    rule = rule or card.default_rule
    points = {str(rule): card.operating_points(rule)} | card.facts["operating_points"]
    learnt, lacking = _learnt(card)
    meaning = Meanings.of([dataset.spellings, *(one.spellings for one in learnt.values())])
    theirs, labels = _labels(card.labels, dataset.labels, meaning)
    kept, about = _unseen(card, dataset, learnt, lacking)
    dataset = dataset.subset(kept)
    scores, far = _asked(card, dataset, batch_size)
    columns = [card.labels.index(label) for label in labels]
    own = Predictions(
        images=tuple(dataset.images.tolist()),
        patients=tuple(dataset.patients.tolist()),
        folds=(_ELSEWHERE,) * len(dataset),
        labels=tuple(labels),
        prob=scores[:, columns],
        truth=_truth(dataset.codes[:, theirs], uncertain, blank),
        ranks_only=not card.probabilities,
    )
    distortion = card.distortion
    meant = scores if distortion is None else distortion.undistort(scores)
    about |= {
        "model": card.path.resolve().name,
        "data": dataset.name,
        "rule": str(rule),
        "undistorted": distortion is not None,
        "ranks_only": own.ranks_only,
        "lacking": [label for label in card.labels if label not in labels],
        "beside": [label for n, label in enumerate(dataset.labels) if n not in theirs],
        "uncertain": uncertain,
        "blank": blank,
        "unlike": _unlike(far),
    }
    here = Side(own, meant[:, columns])
    found = validate(here, _before(card, labels), points, about)
    write_external(out, found, own)
    return found


def _labels(
    ours: Sequence[str], theirs: Sequence[str], meaning: Meanings
) -> tuple[list[int], list[str]]:
    """The places of the common labels in the other dataset, and their names in the model."""
    places = {folded(meaning(label)): place for place, label in enumerate(theirs)}
    common = [label for label in ours if folded(meaning(label)) in places]
    if not common:
        raise UserError(
            f"--data has no label of the model's. Its labels: {', '.join(theirs)}; the model's: "
            f"{', '.join(ours)}. Give other data."
        )
    return [places[folded(meaning(label))] for label in common], common


def _truth(codes: np.ndarray, uncertain: str, blank: str) -> np.ndarray:
    found = np.where(codes == -1, _UNCERTAIN[uncertain], np.float64(codes))
    return np.where(np.isnan(codes), _BLANK[blank], found)


def _unseen(
    card: Card, dataset: PreparedDataset, learnt: Mapping[str, PreparedDataset], lacking: Sequence
) -> tuple[np.ndarray, dict]:
    """(N,) bool: films that the model, and patients whom it, hasn't seen; and what is to be said of
    that.
    """
    from cxrkeras.training.stages.overlap import Overlap, doubts_between, overlap_between

    notes = _prepared_otherwise(card, dataset)
    if _TARGET not in learnt and dataset.films in card.learnt_from:
        raise UserError(
            f"--data {dataset.root} has no films of other patients than the model's: it learnt "
            "from these very films. Give another hospital's."
        )
    if lacking:
        notes.append(
            f"where {' and '.join(lacking)} lie isn't known, so the model's patients and films "
            "can't all be looked for among these: give a run whose data are still there"
        )
    nothing = np.zeros(len(dataset), bool)
    overlap = Overlap(nothing, nothing, nothing)
    for whose, trained in learnt.items():
        one = overlap_between(dataset, trained)
        overlap = Overlap(*(a | b for a, b in zip(overlap, one, strict=True)))
        doubts = doubts_between(dataset, trained)
        notes += [doubt.replace("the target", whose) for doubt in doubts]
    overlap = overlap._replace(copies=overlap.copies & ~overlap.same)
    if (~overlap.seen).sum() < _FEW:
        raise UserError(
            f"--data {dataset.root} has no films of other patients than the run's: "
            f"{int(overlap.seen.sum())} of {len(dataset)} are left out. Give another hospital's."
        )
    counts = overlap.counts()
    if overlap.seen.any():
        say(
            f"{int(overlap.seen.sum())} of {len(dataset)} films are left out: {counts['target']} "
            f"are the run's own, {counts['copies']} are copies of these, and {counts['patients']} "
            "are of the same patients"
        )
    left = counts if _TARGET in learnt else None
    return ~overlap.seen, {"left_out": left, "notes": _said(list(dict.fromkeys(notes)))}


def _learnt(card: Card) -> tuple[dict[str, PreparedDataset], list[str]]:
    """{what it is to the run: the data that a model learnt from}, and what can't be opened."""
    above = (card.run or card.home, card.home.resolve().parent.parent)
    run = next((place for place in above if data_of(place)), None)
    if run is None:
        return {}, ["the model's training data"]
    settings = run_settings(run)
    folders = {_TARGET: data_of(run)}
    for text in settings.get("source", ()):
        links = [link for link in parse_source(text) if isinstance(link, Dataset)]
        folders |= {f"the source {link.name}": link.folder for link in links}
    for text in settings.get("source_rows", ()):
        rows = parse_rows(text)
        if rows.folder is not None:
            folders[f"the source {rows.name}"] = rows.folder
    found = {whose: _opened(folder) for whose, folder in folders.items()}
    lacking = [f"the films of {whose}" for whose, one in found.items() if one is None]
    return {whose: one for whose, one in found.items() if one is not None}, lacking


def _opened(folder: Path) -> PreparedDataset | None:
    try:
        return load_dataset(folder)
    except UserError:
        return None


def _prepared_otherwise(card: Card, dataset: PreparedDataset) -> list[str]:
    made, wanted = preparation_of(dataset.root) or Preparation(), card.preparation
    differ = [name for name in ("pad", "stretch") if getattr(made, name) != getattr(wanted, name)]
    if not differ:
        return []
    options = " and ".join(f"--{name}" for name in differ)
    return [
        f"these films were prepared with another {options} than the model's, which sees other "
        "pictures than it learnt from: prepare them alike"
    ]


def _said(notes: Sequence[str]) -> list[str]:
    for note in notes:
        say(f"Warning: {note}")
    return list(notes)


def _asked(card: Card, dataset: PreparedDataset, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) scores of the dataset's prepared images, and (N,) how unlike the training films."""
    if len({picture.side for picture in card.pictures.values()}) > 1 or len(card.pictures) > 1:
        raise UserError(
            f"{card.path}: its members' images were prepared at several sides, and --data is "
            "prepared at one. Give one of the members."
        )
    runtime.start()
    from cxrkeras.data.images import Images
    from cxrkeras.data.pipeline import image_batches
    from cxrkeras.registry import PREDICTORS
    from cxrkeras.serving.predictor.loaded import load_card

    model, inputs = load_card(card), ("image", *card.extras)
    images = Images.of(dataset, card.image_size, inputs)
    found = []
    with Steps("predictions, batches", ceil(len(dataset) / size)) as steps:
        for batch in image_batches(images, np.arange(len(dataset)), size):
            one = batch[0] if isinstance(batch, tuple) else batch
            arrays = one if isinstance(one, dict) else {"image": one}
            arrays = {name: np.asarray(values) for name, values in arrays.items()}
            found.append(model.run_all(arrays, traced=True, size=size))
            steps.step()
    numbers = np.concatenate([one.scores for one in found])
    far = np.concatenate([one.unlike for one in found])
    if card.studies:
        from cxrkeras.data.studies import groups_of, names_in

        groups = groups_of(names_in(dataset, card.studies))
        numbers = PREDICTORS.make(card.kind).fused(card, numbers, groups)
    return numbers, far


def _unlike(far: np.ndarray) -> dict | None:
    """How many films are flagged, beside what the limit promises of films like the run's own."""
    if np.isnan(far).any():
        return None
    flagged = far >= LIMIT
    return {
        "limit": LIMIT,
        "flagged": int(flagged.sum()),
        "share": float(flagged.mean()),
        "promised": 1 - LIMIT,
        "median": float(np.median(far)),
    }


def _before(card: Card, labels: Sequence[str]) -> Side | None:
    """The out-of-fold films of a run, of one of its folds, or of an ensemble of runs."""
    table = RunFolder(card.home).predictions
    if not table.is_file():
        return None
    found = read_predictions(table)
    distortion = card.distortion
    if card.run is not None:
        metrics = read_json(RunFolder(card.run).metrics)
        distortion = row_distortion(metrics, fold_numbers(found))
    meant = found.prob if distortion is None else distortion.undistort(found.prob)
    columns = [found.labels.index(label) for label in labels]
    own = Predictions(
        found.images,
        found.patients,
        found.folds,
        tuple(labels),
        found.prob[:, columns],
        found.truth[:, columns],
    )
    return Side(own, meant[:, columns])
