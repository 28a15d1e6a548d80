"""What is known of a trained model before it is loaded. Nothing here imports Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cxrkeras.data.distortion import Distortion
from cxrkeras.data.inputs import IMAGE, KNOWN, further
from cxrkeras.data.preparation import Preparation
from cxrkeras.evaluation.evidence.doubts import (
    constant_features,
    doubts_of_performance,
    doubts_of_scores,
)
from cxrkeras.evaluation.evidence.out_of_fold import fit_on_run
from cxrkeras.evaluation.evidence.settings import run_settings
from cxrkeras.evaluation.rules import FittedRule, PrevalenceRule, Rule, parse_rule
from cxrkeras.evaluation.scores.operating import prevalence_points
from cxrkeras.runs.sources import parse_rows, parse_source
from data_prep.errors import UserError
from data_prep.files import read_json


class Picture(NamedTuple):
    """How a film becomes one of a model's inputs.

    Args:
        preparation: to a square.
        side: to which that is resized then, pixels.
    """

    preparation: Preparation
    side: int


@dataclass(frozen=True)
class Card:
    """A model, an ensemble, or a run as the ensemble of its folds' models.

    Args:
        path: as it was given.
        facts: the keys of `model.json`; of a run, means over its folds. `operating_points` has
            `prevalence` and, where the loss's distortion is known, `corrected` for every model,
            and the fitted rules where they are known.
        preparation: how images are prepared for it.
        kind: of predictor, the name of a module of `kinds`; "" for one that a server holds.
        file: its `model.keras`, or another `.keras` file; None where it has none.
        members: of an ensemble.
        run: the run folder whose out-of-fold predictions stand behind it; None for a model.
    """

    path: Path
    facts: dict
    preparation: Preparation
    kind: str = ""
    file: Path | None = None
    members: tuple["Card", ...] = ()
    run: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the output's order."""
        return tuple(self.facts["labels"])

    @property
    def image_size(self) -> int:
        """The side in pixels of the input `image`."""
        return self.facts["image_size"]

    @property
    def home(self) -> Path:
        """The folder of its `model.json`, or the run's."""
        return self.file.parent if self.file else self.path

    @property
    def leaves(self) -> tuple["Card", ...]:
        """The models of which it is made; itself if it is a single one."""
        return tuple(leaf for card in self.members for leaf in card.leaves) or (self,)

    @property
    def count(self) -> int:
        """The number of models whose mean answers; 0 for a model on a server."""
        return len(self.leaves) if self.kind else 0

    @property
    def who(self) -> str:
        """What answers, if several do: `5 models, one for each fold of the run`."""
        if self.run is not None:
            each = self.count // max(len(self.members), 1)
            return f"{self.count} models, {'one' if each == 1 else each} for each fold of the run"
        return f"{self.count} models"

    @cached_property
    def pictures(self) -> Mapping[str, Picture]:
        """The inputs taken from the film: `image`, and for an ensemble whose members' images were
        prepared at other sides, the squares of these sides.
        """
        found = {IMAGE: Picture(self.preparation, self.image_size)}
        for leaf in self.leaves:
            side = leaf.preparation.image_size
            if side != self.preparation.image_size:
                found[f"{IMAGE}_{side}"] = Picture(leaf.preparation, side)
        return found

    @property
    def studies(self) -> str:
        """What makes the films of a study whose answer is one: `study` or `patient`; "" where each
        film is answered by itself.
        """
        return max(leaf.facts.get("studies") or "" for leaf in self.leaves) if self.kind else ""

    @property
    def alone(self) -> str:
        """What is to be said where such a model is asked film by film; "" for others."""
        if not self.studies:
            return ""
        return (
            f"This model answers for all films of a {self.studies} together; here each film is "
            "answered as if it were the only one."
        )

    @property
    def extras(self) -> tuple[str, ...]:
        """The inputs that aren't the film's pixels."""
        leaves = (name for leaf in self.leaves for name in leaf.facts.get("inputs") or ())
        found = further(dict.fromkeys(leaves))
        return tuple(sorted(found, key=lambda name: [*KNOWN, *found].index(name)))

    @property
    def learnt_from(self) -> list[str]:
        """Fingerprints of the films that it learnt from, as far as they are noted."""
        run = self.run or run_above(self.home)
        if run is not None:
            try:
                films = str(read_json(run / "environment.json")["films"])
            except (OSError, ValueError, KeyError, TypeError):
                films = None
        else:
            made = self.facts.get("run")
            films = made.get("films") if isinstance(made, dict) else None
        return [*([films] if films else []), *self.learnt_whole]

    @property
    def learnt_whole(self) -> list[str]:
        """Those of data of which no fold held out a part, so that all its models learnt them."""
        return self.facts.get("learnt_from") or []

    @cached_property
    def distortion(self) -> Distortion | None:
        """What its loss did to the probabilities; None if unknown."""
        return Distortion.from_facts(self.facts, self.labels)

    @property
    def distorted(self) -> bool:
        """Whether there is a known distortion to undo."""
        return self.distortion is not None and not self.distortion.none

    @property
    def probabilities(self) -> bool:
        """Whether its scores are meant as probabilities; a mean of ranks isn't."""
        return self.facts.get("combine") != "ranks"

    @property
    def figure(self) -> str:
        """What people are shown of a film: its `probability`, or no more than a `score`, where
        what the loss did isn't known, and of mean ranks.
        """
        return "score" if self.distortion is None or not self.probabilities else "probability"

    def meant(self, scores: np.ndarray) -> np.ndarray:
        """(..., K) scores or thresholds with the loss's distortion undone, as far as it's known."""
        return scores if self.distortion is None else self.distortion.undistort(scores)

    @property
    def default_rule(self) -> Rule:
        """The default operating points: of these, the first that it has."""
        known = self.facts["operating_points"]
        for name in ("corrected", "prevalence", "youden"):
            if any(point["threshold"] is not None for point in known.get(name, {}).values()):
                return parse_rule(name)
        return parse_rule("corrected" if "corrected" in known else "prevalence")

    def operating_points(self, rule: Rule) -> dict[str, dict]:
        """{label: point with `threshold` (or None) and `from`}.

        Raises:
            UserError: where the model has no such operating points, naming those that it has.
        """
        known = self.facts["operating_points"]
        if str(rule) in known:
            return known[str(rule)]
        if self.run is not None and (isinstance(rule, FittedRule) or self.knows(rule)):
            return fit_on_run(self.run, rule)
        if isinstance(rule, PrevalenceRule):
            if self.knows(rule):
                shares = [self.facts["training_prevalence"][name] for name in self.labels]
                shares = np.array([shares], np.float64)
                return prevalence_points(self.labels, shares, [self.distortion], [rule])[str(rule)]
            raise UserError(
                f"{self.path} has no operating point {rule}: what its loss did to the "
                f"probabilities isn't known. There: {', '.join(known)}. Choose one of these."
            )
        raise UserError(
            f"{self.path} has no operating point {rule}, which takes predictions with their truth. "
            f"There: {', '.join(known)}. Choose one of these, or give the run folder."
        )

    def knows(self, rule: PrevalenceRule) -> bool:
        """Whether all that the rule needs is known."""
        return not (rule.needs_distortion and self.distortion is None)

    def performance(self) -> dict | None:
        """Performance on images that it hasn't seen: see `evaluation.evidence.performance`.

        Of a run, or one of its folds, from its predictions; else as `model.json` says; None where
        nobody measured it.

        Raises:
            UserError: a run's predictions can't be read.
        """
        return self._measured

    @cached_property
    def _measured(self) -> dict | None:
        if found := self.facts.get("performance"):
            return found
        from cxrkeras.evaluation.evidence.performance import fold_performance, run_performance

        if self.run is not None:
            return run_performance(self.run)
        return fold_performance(self.home)

    def evidence(self) -> dict | None:
        """Of a run, what a journal asks for (`evaluation.journal.figures`); None for others, and
        where its files don't have it.
        """
        from cxrkeras.evaluation.journal.figures import figures_of

        try:
            return None if self.run is None else figures_of(self.run)
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None

    def doubts(self) -> list[str]:
        """What must be said before its answers are believed, in sentences; see `doubts`.

        Of a run, or one of its folds, from its `metrics.json`, on the test set where it has one.
        """
        if found := self.facts.get("performance"):
            return doubts_of_performance(found).sentences
        try:
            run = self.run or run_above(self.home)
            metrics = read_json(run / "metrics.json")
            dead = constant_features(metrics.get("features") or {})
            return [*dead, *doubts_of_scores(metrics.get("test") or metrics).sentences]
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return []  # nobody measured it

    def settings(self) -> dict:
        """How it was trained: the keys of `experiment.toml`, without file locations."""
        if self.run is None:
            return (self.facts.get("run") or {}).get("experiment") or {}
        found = run_settings(self.run)
        chains = [parse_source(text) for text in found.get("source", ())]
        rows = [parse_rows(text) for text in found.get("source_rows", ())]
        return found | {
            "source": [[link.name for link in chain] for chain in chains],
            "source_rows": [[one.name, one.weight] for one in rows],
        }

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


def one_picture(card: Card) -> None:
    """Check that a model sees a film in one way, for what draws on it or puts it into one input.

    Raises:
        UserError: an ensemble of models whose images were prepared at several sides, or as in
            `check_extras`.
    """
    if len(card.pictures) > 1:
        sides = ", ".join(str(one.preparation.image_size) for one in card.pictures.values())
        raise UserError(
            f"{card.path}: its members' images were prepared at {sides} px, and here one image "
            "must do. Ask it by `cxrkeras predict`, or make an ensemble of models whose data were "
            "prepared at one --size."
        )
    check_extras(card)


def check_extras(card: Card) -> None:
    """Check that what a model takes beside the image can be had from headers and tables.

    Raises:
        UserError: naming what can't.
    """
    if strange := [name for name in card.extras if name not in KNOWN]:
        raise UserError(
            f"{card.path} takes {', '.join(strange)} beside the image; headers and tables give "
            f"{', '.join(KNOWN)}. Ask it from Python: `load_model(…).predict({{…}})`."
        )


def run_above(folder: Path) -> Path | None:
    """The run of a fold's model folder RUN/folds/K."""
    above = folder.resolve().parent
    return above.parent if above.name == "folds" else None
