"""The same folds trained several times over, each time with another seed.

Each training is a run of its own below `seeds/`, as `cv --seed S --folds-file` makes it; so it
resumes like one. A fold's models together are then the fold's: an ensemble, which answers as their
mean.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.distortion import Distortion, averaged
from cxrkeras.data.model_json import read_model_json, write_model_json
from cxrkeras.evaluation.run_folder import FoldFolder, RunFolder
from cxrkeras.evaluation.scores.predictions import read_predictions, write_predictions
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.folder import write_table
from data_prep.files import atomic_write_json, read_json
from data_prep.say import say


def fit_each(
    experiment: Experiment,
    run: Path,
    folds: Sequence[int],
    cross_validate: Callable[[Experiment, Path], object],
) -> None:
    """Train with each seed what isn't trained yet, and put each fold's models together.

    Args:
        experiment: with `seeds`.
        run: its folder, which was begun.
        folds: those that aren't whole.
        cross_validate: makes, or completes, the run of one training in a folder.

    Raises:
        UserError: see `cross_validate`.
    """
    whole, parts = RunFolder(run), []
    for number in range(experiment.seeds):
        own = training(experiment, number, whole.fold_table)
        parts.append(whole.training(own.seed))
        say(f"seed {own.seed}, training {number + 1}/{experiment.seeds}")
        cross_validate(own, parts[-1].path)
        if "keras" in sys.modules:
            sys.modules["keras"].backend.clear_session()  # the next may be as large
    for fold in folds:
        _put_together({part.path.name: part.fold(fold) for part in parts}, whole.fold(fold))


def training(experiment: Experiment, number: int, folds_file: Path) -> Experiment:
    """The description of one training, counted from 0: as a run by itself, on the same folds."""
    own = {"seeds": 1, "seed": experiment.seed + number, "folds_file": str(folds_file.absolute())}
    return experiment.model_copy(update=own)


def _put_together(parts: Mapping[str, FoldFolder], whole: FoldFolder) -> None:
    """A fold's trainings, by seed, as one model; `fold.json` comes last."""
    folders = list(parts.values())
    cards = [read_model_json(folder.card) for folder in folders]
    members = []
    for number, (folder, card) in enumerate(zip(folders, cards, strict=True)):
        members.append({"folder": f"members/{number}", "weight": 1 / len(folders)})
        _link(folder.path, whole.path / "members" / str(number))
        write_model_json(whole.path / "members" / str(number), card)
    facts = [read_json(folder.facts) for folder in folders]
    shared = _means(facts, cards[0]["labels"])
    kept = {name: cards[0][name] for name in _CARD if name in cards[0]}
    of_whole = {"kind": "ensemble", "combine": "mean", "members": members}
    write_model_json(whole.path, kept | shared | of_whole)
    _mean_table([folder.predictions for folder in folders], whole.predictions)
    if folders[0].test_predictions.is_file():
        _mean_table([folder.test_predictions for folder in folders], whole.test_predictions)
    for name in folders[0].branches:
        _mean_table([folder.branch(name) for folder in folders], whole.branch(name))
    write_table(whole.history, _histories(parts))
    rest = {name: fact for name, fact in facts[0].items() if name not in _OWN}
    seconds = round(sum(fact["seconds"] for fact in facts), 1)
    atomic_write_json(whole.facts, rest | shared | {"trainings": len(facts), "seconds": seconds})


_CARD = ("labels", "image_size", "trained_on", "preparation", "learnt_from")
_OWN = ("training_prevalence", "inflation", "distortion")


def _means(facts: Sequence[Mapping], labels: Sequence[str]) -> dict:
    """What thresholds follow from: of the trainings' mean."""
    shares = {name: [fact["training_prevalence"][name] for fact in facts] for name in labels}
    means = {n: None if None in known else float(np.mean(known)) for n, known in shares.items()}
    distortion = averaged([Distortion.from_facts(fact, labels) for fact in facts])
    known = distortion.as_facts(labels) if distortion else {}
    return {"training_prevalence": means, **known}


def _link(folder: Path, place: Path) -> None:
    """A model's files in a second place, without their contents where the disk can do that."""
    place.mkdir(parents=True, exist_ok=True)
    own = FoldFolder(folder)
    for path in folder.iterdir():
        if path.suffix == ".csv" or path in (own.facts, own.card) or not path.is_file():
            continue
        (place / path.name).unlink(missing_ok=True)
        try:
            os.link(path, place / path.name)
        except OSError:  # a disk without links
            shutil.copyfile(path, place / path.name)


def _mean_table(paths: Sequence[Path], whole: Path) -> None:
    tables = [read_predictions(path) for path in paths]
    mean = np.mean([table.prob for table in tables], axis=0)
    write_predictions(whole, replace(tables[0], prob=mean))


def _histories(parts: Mapping[str, FoldFolder]) -> pd.DataFrame:
    """One below the other, the seed in the column `step`."""
    found = []
    for seed, folder in parts.items():
        table = pd.read_csv(folder.history)
        steps = table["step"] if "step" in table else pd.Series("", table.index)
        told = [f"seed {seed}, {step}" if step else f"seed {seed}" for step in steps]
        found.append(table.assign(step=told))
    return pd.concat(found, ignore_index=True)
