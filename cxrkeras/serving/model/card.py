"""What is known of a trained model before it is loaded: `model.json`, or a run's merged over folds.

Nothing here imports Keras.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.data.model_json import check_run_facts, read_model_json
from cxrkeras.data.preparation import Preparation, preparation_of
from cxrkeras.evaluation.evidence.doubts import (
    constant_features,
    doubts_of_performance,
    doubts_of_scores,
)
from cxrkeras.evaluation.evidence.out_of_fold import fit_on_run, read_operating_points
from cxrkeras.evaluation.evidence.settings import data_of, run_settings
from cxrkeras.evaluation.rules import PrevalenceRule, Rule
from cxrkeras.evaluation.scores.operating import FROM_PREVALENCE, prevalence_points
from cxrkeras.evaluation.scores.predictions import TEST_FOLD
from cxrkeras.runs.sources import parse_source
from data_prep.errors import UserError
from data_prep.files import read_json
from data_prep.say import say

_GIVE = "Give a run folder of `cxrkeras cv`, or a model folder with model.keras and model.json."


@dataclass(frozen=True)
class Card:
    """A model, or a run as the ensemble of its folds' models.

    Args:
        path: as it was given.
        members: the `.keras` files.
        facts: the keys of `model.json`; of a run, means over its folds. `operating_points` has
            `prevalence` and `corrected` for every model, and the fitted rules where they are known.
        preparation: how images are prepared for it.
        run: the run folder whose out-of-fold predictions stand behind it; None for a single model.
    """

    path: Path
    members: tuple[Path, ...]
    facts: dict
    preparation: Preparation
    run: Path | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the output's order."""
        return tuple(self.facts["labels"])

    @property
    def image_size(self) -> int:
        """The side in pixels that the model sees."""
        return self.facts["image_size"]

    @property
    def inflation(self) -> np.ndarray:
        """(K,) the factor that the loss put on the odds of each label's probability."""
        return np.array([self.facts["inflation"][name] for name in self.labels])

    def operating_points(self, rule: Rule) -> dict[str, dict]:
        """{label: point with `threshold` (or None) and `from`}.

        Raises:
            UserError: where the model has no such operating points, naming those that it has.
        """
        known = self.facts["operating_points"]
        if str(rule) in known:
            return known[str(rule)]
        if self.run is not None:
            return fit_on_run(self.run, rule)
        if isinstance(rule, PrevalenceRule):
            return _from_prevalence(self.facts, [rule])[str(rule)]
        raise UserError(
            f"{self.path} has no operating point {rule}, which takes predictions with their truth. "
            f"There: {', '.join(known)}. Choose one of these, or give the run folder."
        )

    def performance(self) -> dict | None:
        """How it does on images that it hasn't seen: see `evaluation.evidence.performance`.

        Of a run, or one of its folds, from its predictions; else as `model.json` says; None where
        nobody measured it.

        Raises:
            UserError: a run's predictions can't be read.
        """
        if found := self.facts.get("performance"):
            return found
        from cxrkeras.evaluation.evidence.performance import fold_performance, run_performance

        if self.run is not None:
            return run_performance(self.run)
        return fold_performance(self.members[0].parent)

    def doubts(self) -> list[str]:
        """What must be said before its answers are believed, in sentences; see `doubts`.

        Of a run, or one of its folds, from its `metrics.json`, on the test set where it has one.
        """
        if found := self.facts.get("performance"):
            return doubts_of_performance(found).sentences
        try:
            run = self.run or run_above(self.members[0].parent)
            metrics = read_json(run / "metrics.json")
            dead = constant_features(metrics.get("features") or {})
            return [*dead, *doubts_of_scores(metrics.get("test") or metrics).sentences]
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return []  # nobody measured it

    def settings(self) -> dict:
        """How it was trained: the keys of `experiment.toml`, without the places of files."""
        if self.run is None:
            return (self.facts.get("run") or {}).get("experiment") or {}
        found = run_settings(self.run)
        chains = [parse_source(text) for text in found.get("source", ())]
        return found | {"source": [[link.name for link in chain] for chain in chains]}

    def calibration(self) -> dict[str, dict]:
        """{label: what `calibration.calibrate` takes}.

        Raises:
            UserError: where the model has none.
        """
        found = self.facts.get("calibration")
        if not found:
            raise UserError(
                f"{self.path} has no calibration, which is fitted on a run's out-of-fold "
                "predictions. Give the run folder, or a model made by `cxrkeras train`."
            )
        return found


def read_card(path: Path) -> Card:
    """Read what a run folder, a model folder or a `.keras` file with `model.json` beside says.

    Raises:
        UserError: for anything else, an unfinished run, or parts that don't fit each other.
    """
    path = Path(path)
    if (path / "experiment.toml").is_file() or (path / "folds.csv").is_file():
        return _run(path)
    file = path if path.suffix == ".keras" and path.is_file() else path / "model.keras"
    if not file.is_file():
        raise UserError(f"There is no model at {path}. {_GIVE}")
    facts, run = _facts(file.with_name("model.json")), run_above(file.parent)
    facts["operating_points"] = {
        **_reached_in(run, _from_prevalence(facts)),
        **(facts.get("operating_points") or {}),
    }
    return Card(path, (file,), facts, _preparation([facts], run), None)


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
    cards = [_facts(folder / "model.json") for folder in folders]
    first = cards[0]
    for name in ("labels", "image_size"):
        if any(card[name] != first[name] for card in cards):
            raise UserError(
                f"The folds' models of {run} differ in {name.replace('_', ' ')}: they are no "
                "ensemble. Give one of them: RUN/folds/K."
            )
    fitted = read_operating_points(run)
    facts = {
        "labels": first["labels"],
        "image_size": first["image_size"],
        "trained_on": first.get("trained_on"),
        "training_prevalence": _means(cards, "training_prevalence", np.nanmean),
        "inflation": _means(cards, "inflation", lambda w: np.exp(np.log(w).mean())),
        "operating_points": fitted["operating_points"],
        "calibration": fitted["calibration"],
    }
    check_run_facts(facts, run)
    preparation = _preparation(cards, run)
    members = tuple(folder / "model.keras" for folder in folders)
    return Card(run, members, facts | {"preparation": preparation.as_json()}, preparation, run)


def _finished_folds(run: Path) -> list[Path]:
    try:
        folds = pd.read_csv(run / "folds.csv", dtype=str)["fold"].unique().tolist()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run} is no whole run folder: folds.csv can't be read ({type(error).__name__}). "
            f"{_GIVE}"
        ) from None
    numbers = sorted(int(fold) for fold in folds if fold != TEST_FOLD)
    folders = [run / "folds" / str(number) for number in numbers]
    whole = [f for f in folders if (f / "fold.json").is_file() and (f / "model.keras").is_file()]
    again = f"cxrkeras cv --config {run / 'experiment.toml'} --out {run}"
    if len(whole) < len(folders):
        raise UserError(
            f"{run} has {len(whole)} of {len(folders)} folds finished. Finish it: {again}"
        )
    if not (run / "predictions.csv").is_file():
        raise UserError(f"A finished run holds predictions.csv; {run} doesn't. Make it: {again}")
    return folders


def _facts(path: Path) -> dict:
    """A `model.json`, checked."""
    try:
        return read_model_json(path)
    except FileNotFoundError:
        raise UserError(
            f"Beside a model.keras lies model.json, which says what its outputs are. Not found: "
            f"{path}. {_GIVE}"
        ) from None


def _vectors(cards: list[dict], key: str) -> np.ndarray:
    """(M, K) float64, NaN where not known."""
    labels = cards[0]["labels"]
    return np.array([[card[key][name] for name in labels] for card in cards], dtype=np.float64)


def _means(cards: list[dict], key: str, mean) -> dict[str, float | None]:
    columns = _vectors(cards, key).T
    return {
        name: float(mean(column)) if np.isfinite(column).any() else None
        for name, column in zip(cards[0]["labels"], columns, strict=True)
    }


def _from_prevalence(
    facts: dict, rules: Sequence[PrevalenceRule] = FROM_PREVALENCE
) -> dict[str, dict[str, dict]]:
    vectors = (_vectors([facts], key) for key in ("training_prevalence", "inflation"))
    return prevalence_points(facts["labels"], *vectors, rules)


def run_above(folder: Path) -> Path | None:
    """The run of a fold's model folder RUN/folds/K."""
    above = folder.resolve().parent
    return above.parent if above.name == "folds" else None


def _preparation(cards: list[dict], run: Path | None) -> Preparation:
    """As `model.json` says; of models from before it did, as the run's dataset says."""
    noted = cards[0].get("preparation")
    found = Preparation.from_json(noted) if noted else None
    if found is None and run is not None and (data := data_of(run)):
        found = preparation_of(data)
    if found is None:
        found = Preparation()
        say(
            "Warning: how this model's images were prepared isn't noted. Taken: what `cxrkeras "
            f"prep` does by default ({found.image_size} px, no padding, no stretching)."
        )
    return found
