"""Who was filmed: patients, age, sex, view and prevalence, in all and by fold; nobody by name.

Only sums and quartiles, since extreme ages tell persons apart, and no small number of persons.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxrkeras.evaluation.compare.resampling import sampling_units
from cxrkeras.evaluation.evidence.subgroups import FEWEST, SEXES
from cxrkeras.evaluation.scores.predictions import Predictions

WHOLE = "all"


def cohort(predictions: Predictions, table: pd.DataFrame | None) -> dict[str, dict]:
    """The films that were scored, in all (`all`) and, if there are several, fold by fold.

    Args:
        predictions: whose films these are.
        table: the films' rows of the manifest (`subgroups.rows_of`); None where there is none.

    Returns:
        {part: `images`, `patients` (that are known), `labels` {label: {`known`, `positives`}};
        `age` {`known` (patients), `median`, `q1`, `q3`}: years, of a patient's youngest film; `sex`
        {name: patients}, without those below `FEWEST`; `views` {name: films}}. None where it isn't
        known, or age or sex of too few would be told; for all folds, if it is so in one of them, as
        it would follow from the others. JSON-ready.
    """
    unit = sampling_units(predictions.images, predictions.patients)
    columns = ["age", "sex", "view"]
    table = pd.DataFrame(index=range(len(unit))) if table is None else table
    facts = table.reindex(columns=columns, fill_value="")
    names = np.array(predictions.folds)
    parts = {WHOLE: np.ones(len(names), bool)}
    if len(set(predictions.folds)) > 1:
        parts |= {name: names == name for name in _in_order(set(predictions.folds))}
    found = {name: _part(predictions, facts, unit, rows) for name, rows in parts.items()}
    folds = [part for name, part in found.items() if name != WHOLE]
    for what in ("age", "sex"):
        if any(part[what] is None for part in folds):
            for part in folds:
                part[what] = None
    return found


def in_words(part: Mapping) -> str:
    """One part of a cohort: `546 films of 546 patients; age 52 (…); female 255, male 291; …`."""
    persons = f" of {part['patients']:,} patients" if part["patients"] else ""
    told = [f"{part['images']:,} films{persons}"]
    if age := part["age"]:
        told.append(f"age {age['median']:.0f} (median; quartiles {age['q1']:.0f}, {age['q3']:.0f})")
    told += [
        ", ".join(f"{name} {n:,}" for name, n in part[what].items())
        for what in ("sex", "views")
        if part[what]
    ]
    return "; ".join(told)


def _part(
    predictions: Predictions, facts: pd.DataFrame, unit: np.ndarray, rows: np.ndarray
) -> dict:
    truth, here, unit = predictions.truth[rows], facts[rows], unit[rows]
    return {
        "images": len(truth),
        "patients": len(set(np.array(predictions.patients)[rows].tolist()) - {""}),
        "labels": {
            label: {
                "known": int(np.isfinite(truth[:, k]).sum()),
                "positives": int((truth[:, k] == 1).sum()),
            }
            for k, label in enumerate(predictions.labels)
        },
        "age": _age(here["age"], unit),
        "sex": _sexes(here["sex"], unit),
        "views": _counts(here["view"][here["view"] != ""]) or None,
    }


def _age(years: pd.Series, unit: np.ndarray) -> dict[str, float | int] | None:
    youngest = pd.to_numeric(years, errors="coerce").groupby(unit).min().dropna()
    if len(youngest) < 4 * FEWEST:  # so that no quartile is the age of few
        return None
    q1, median, q3 = np.quantile(youngest.to_numpy(np.float64), [0.25, 0.5, 0.75])
    return {"known": len(youngest), "median": float(median), "q1": float(q1), "q3": float(q3)}


def _sexes(codes: pd.Series, unit: np.ndarray) -> dict[str, int] | None:
    """None if of one of the two usual sexes there are a few, but some."""
    known = pd.DataFrame({"sex": codes.map(SEXES), "unit": unit}).dropna()
    counts = _counts(known.drop_duplicates("unit")["sex"])
    if any(0 < counts.get(SEXES[code], 0) < FEWEST for code in "FM"):
        return None
    return {name: n for name, n in counts.items() if n >= FEWEST} or None


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(name): int(n) for name, n in values.value_counts().sort_index().items()}


def _in_order(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (not name.isdecimal(), len(name), name))
