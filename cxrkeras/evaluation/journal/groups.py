"""Does it rank as well in each group of patients, and how small a gap could these films show?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtri

from cxrkeras.evaluation.compare.intervals import normal_interval
from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.evidence.subgroups import masks_of
from cxrkeras.evaluation.scores.counted import counted
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.evaluation.scores.shares import LEVEL

POWER = 0.8
_BOUNDS = ("value", "low", "high")


def compare_groups(predictions: Predictions, table: pd.DataFrame) -> list[dict]:
    """Macro AUROC of each group of sex, age and view, and how far it is from the others'.

    In closed form, by DeLong's components summed over patients (Obuchowski, Biometrics 1997), so
    that labels of a film, and films of a patient, needn't be independent; also where a patient has
    films in both. The smallest detectable gap is (z of 0.975 + z of 0.8) standard errors of the
    difference: a true one of that size would be found at 5% in 80% of such sets (Bloom, Evaluation
    Review 1995;19:547).

    Args:
        predictions: of models that haven't seen the films.
        table: the films' rows of the manifest (`subgroups.rows_of`).

    Returns:
        For each group of `subgroups.masks_of` that has others beside it: `what`, `name`,
        `images`, `patients`, `labels` (over how many its mean goes), `auroc` {value, low, high};
        and against all others of these, over the labels `compared` that both have with at least two
        patients of each kind: `difference` {value, low, high} and `detectable`. None where
        undefined. JSON-ready.
    """
    ranked = _Ranked(predictions)
    found = []
    for what, masks in masks_of(table, ranked.unit).items():
        known = np.any(list(masks.values()), axis=0)
        own = {name: ranked.parts(rows) for name, rows in masks.items()}
        for name, rows in masks.items():
            two = [parts for other, parts in own.items() if other != name]
            rest = two[0] if len(two) == 1 else ranked.parts(known & ~rows)
            found.append(
                {
                    "what": what,
                    "name": name,
                    "images": int(rows.sum()),
                    "patients": len(np.unique(ranked.unit[rows])),
                    **_against(own[name], rest),
                }
            )
    return found


def _against(own: Mapping[int, tuple], rest: Mapping[int, tuple]) -> dict:
    both = [k for k in own if k in rest and min(*own[k][2], *rest[k][2]) >= 2]
    value, influence = _macro(own, list(own))
    difference: dict = dict.fromkeys(_BOUNDS)
    error = None
    if both:
        (first, by_first), (second, by_second) = _macro(own, both), _macro(rest, both)
        error = float(np.linalg.norm(by_first - by_second))
        whole = normal_interval(first - second, error, LEVEL)
        difference = {name: whole[name] for name in _BOUNDS}
    return {
        "labels": len(own),
        "auroc": _interval(value, float(np.linalg.norm(influence))) if own else _interval(None, 0),
        "compared": len(both),
        "difference": difference,
        "detectable": None if error is None else detectable(error),
    }


def detectable(error: float) -> float:
    """The smallest true difference found with `POWER`, by its standard error."""
    return float(ndtri((1 + LEVEL) / 2) + ndtri(POWER)) * error


class _Ranked:
    """All films in the order of their scores, label by label, sorted once for all groups."""

    def __init__(self, predictions: Predictions) -> None:
        self.unit = sampling_units(predictions.images, predictions.patients)
        self._truth = predictions.truth
        self._place = {
            int(k): np.unique(predictions.prob[:, k], return_inverse=True)[1]
            for k in np.flatnonzero(counted(predictions.labels))
        }

    def parts(self, rows: np.ndarray) -> dict[int, tuple]:
        """{label: AUROC, what each patient adds to it, (patients with the finding, without)} of
        some films; without the labels that lack a class there.
        """
        sides = {k: [rows & (self._truth[:, k] == side) for side in (1, 0)] for k in self._place}
        return {
            k: self._influence(self._place[k], *both)
            for k, both in sides.items()
            if all(side.any() for side in both)
        }

    def _influence(self, place: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> tuple:
        """Its parts are enlarged as for a sample of so many patients."""
        above = _beaten(place[positive], place[negative])
        below = 1 - _beaten(place[negative], place[positive])
        auroc, units = float(above.mean()), int(self.unit.max()) + 1
        total, owners = np.zeros(units), []
        for side, part in ((positive, above), (negative, below)):
            whose = self.unit[side]
            patients = np.count_nonzero(np.bincount(whose))
            enlarged = np.sqrt(patients / max(patients - 1, 1)) / len(part)
            total += enlarged * np.bincount(whose, weights=part - auroc, minlength=units)
            owners.append(patients)
        return auroc, total, tuple(owners)


def _beaten(place: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of others that each stands above; ties count half."""
    counts = np.bincount(others, minlength=int(place.max()) + 1)
    return ((np.cumsum(counts) - counts / 2)[place]) / len(others)


def _macro(parts: Mapping[int, tuple], labels: Sequence[int]) -> tuple[float, np.ndarray]:
    if not labels:
        return np.nan, np.zeros(1)
    return (
        float(np.mean([parts[k][0] for k in labels])),
        np.mean([parts[k][1] for k in labels], axis=0),
    )


def _interval(value: float | None, error: float) -> dict[str, float | None]:
    """Normal on the logit scale; none where there is no spread."""
    if value is None or not 0 < value < 1 or error == 0:
        return {"value": value, "low": None, "high": None}
    reach = float(ndtri((1 + LEVEL) / 2)) * error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return {"value": value, "low": float(low), "high": float(high)}
