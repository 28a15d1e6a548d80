"""A model's answers on another hospital's films, held against its own out of fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrkeras.evaluation.compare.intervals import (
    LEVEL,
    RESAMPLES,
    Resampled,
    difference_interval,
    macro_freedom,
    resample,
)
from cxrkeras.evaluation.compare.resampling import drawn_words, sampling_units
from cxrkeras.evaluation.external.recalibration import calibration_of, updated
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.scores.shares import share_of

FORMAT = 1
_SEEDS = 0, 1  # of the resamples there and here: they must not go together
_SHARES = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Side:
    """Films with a model's answers, here or out of fold.

    Args:
        predictions: its scores, and the truth.
        meant: (N, K) the probabilities that the scores stand for; the scores where that isn't
            known.
    """

    predictions: Predictions
    meant: np.ndarray

    @property
    def unit(self) -> np.ndarray:
        """(N,) what is drawn as one."""
        return sampling_units(self.predictions.images, self.predictions.patients)

    def drawn(self, seed: int) -> Resampled:
        """AUROCs, and in resamples of the patients."""
        own = self.predictions
        return resample(own.truth, [own.prob], self.unit, own.labels, seed=seed)["auroc"]


def validate(
    here: Side, before: Side | None, points: Mapping[str, Mapping[str, Mapping]], about: Mapping
) -> dict[str, Any]:
    """The scores on other films, and how they differ from those out of fold.

    Args:
        here: the other hospital's films, of which the model has seen none, nor their patients.
        before: the model's out-of-fold films, with the same labels; None where it has none.
        points: {rule: {label: operating point}} of the model.
        about: what else is to be written down.

    Returns:
        JSON-ready: `format`, `kind`, `level`, `resamples`, `images`, `patients`, `drawn`; `macro`
        {`auroc`, `before`, `difference`}; `per_label` {label: `n`, `positives`, `prevalence`
        (`here`, `before`), `auroc` (`here`, `before`, `difference`), `calibration` (`here`,
        `before`; see `calibration_of`), `recalibrated` (see `updated`; both None of scores that are
        no probabilities), `points` {rule: `threshold`, `here` and `before` with `sensitivity` and
        `specificity`}}; and `about`.
    """
    own = here.predictions
    auroc = _auroc(here, before)
    patients = len(set(own.patients) - {""})
    per_label = {
        label: _label(k, here, before)
        | {"auroc": auroc["per_label"][k]}
        | {"points": _points(k, here, {rule: found[label] for rule, found in points.items()})}
        for k, label in enumerate(own.labels)
    }
    return {
        "format": FORMAT,
        "kind": "external",
        "level": LEVEL,
        "resamples": RESAMPLES,
        "images": len(own.images),
        "patients": patients,
        "drawn": drawn_words(patients, int(here.unit.max()) + 1),
        "compared": before is not None,
        "macro": auroc["macro"],
        "per_label": per_label,
        "about": dict(about),
    }


def _auroc(here: Side, before: Side | None) -> dict:
    labels: Sequence[str] = here.predictions.labels
    now = here.drawn(_SEEDS[1])
    found = {
        "macro": {"here": now.of_macro(0, LEVEL), "before": None, "difference": None},
        "per_label": [
            {"here": now.of_label(0, k, LEVEL), "before": None, "difference": None}
            for k in range(len(labels))
        ],
    }
    if before is None:
        return found
    then = before.drawn(_SEEDS[0])
    for k, one in enumerate(found["per_label"]):
        one["before"] = then.of_label(0, k, LEVEL)
        value = now.value[0, k] - then.value[0, k]
        sure = now.spreads[k] and then.spreads[k]
        draws = now.draws[0, k] - then.draws[0, k] if sure else np.empty(0)
        one["difference"] = _plain(
            difference_interval(value, draws, LEVEL, _freedom([k], here, before))
        )
    both = np.isfinite(now.value[0]) & np.isfinite(then.value[0]) & now.counted
    found["macro"]["labels"] = [label for label, counts in zip(labels, both, strict=True) if counts]
    if both.any():
        alike = [_of(one, both) for one in (now, then)]
        found["macro"]["here"], found["macro"]["before"] = (one.of_macro(0, LEVEL) for one in alike)
        (value, draws), (other, others) = (one.macro(0) for one in alike)
        freedom = _freedom(np.flatnonzero(both), here, before)
        found["macro"]["difference"] = _plain(
            difference_interval(value - other, draws - others, LEVEL, freedom)
        )
    return found


def _of(drawn: Resampled, labels: np.ndarray) -> Resampled:
    """The same with the macro mean over these labels."""
    return Resampled(drawn.value, drawn.draws, drawn.spreads, drawn.step, labels, drawn.freedom)


def _freedom(labels: Sequence[int], here: Side, before: Side) -> float:
    """Degrees of freedom of a difference: of the side with the fewer patients."""

    def of(side: Side) -> float:
        truth, unit = side.predictions.truth, side.unit
        fewer = [min(len(np.unique(unit[truth[:, k] == y])) for y in (1, 0)) for k in labels]
        return macro_freedom(np.array(fewer))

    return min(of(here), of(before))


def _plain(found: dict) -> dict:
    return {name: None if value is None else float(value) for name, value in found.items()}


def _label(k: int, here: Side, before: Side | None) -> dict:
    sides = {"here": here, "before": before}
    known = {name: side and _known(side, k) for name, side in sides.items()}
    meant = not here.predictions.ranks_only
    counts = {
        name: {"n": len(found[0]), "positives": int(found[0].sum())} if found else None
        for name, found in known.items()
    }
    return {
        **counts["here"],
        "prevalence": {
            name: share_of(found[0], found[2]) if found else None for name, found in known.items()
        },
        "calibration": {
            name: calibration_of(*found) if found and meant else None
            for name, found in known.items()
        },
        "recalibrated": updated(*known["here"]) if meant else None,
    }


def _known(side: Side, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.isfinite(side.predictions.truth[:, k])
    return side.predictions.truth[rows, k] == 1, side.meant[rows, k], side.unit[rows]


def _points(k: int, here: Side, points: Mapping[str, Mapping]) -> dict[str, dict]:
    own = here.predictions
    rows = np.isfinite(own.truth[:, k])
    y, p, unit = own.truth[rows, k] == 1, own.prob[rows, k], here.unit[rows]
    found = {}
    for rule, point in points.items():
        cut = point["threshold"]
        reached = dict.fromkeys(_SHARES)
        if cut is not None:
            called = p > cut
            reached["sensitivity"] = share_of(called[y], unit[y])
            reached["specificity"] = share_of(~called[~y], unit[~y])
        crossed = point.get("cross_fitted") or {}
        found[rule] = {
            "threshold": cut,
            "here": reached,
            "before": {name: crossed.get(name) for name in _SHARES},
        }
    return found
