"""An answer as a table, as CSV and as JSON; `shown/lines.py` has it as text for a terminal."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.evaluation.scores.abstention import WITHHELD
from cxrkeras.serving.predict import warned
from cxrkeras.serving.predict.predict import Answer
from data_prep.filenames import printable
from data_prep.tables.cells import frame_as_csv
from data_prep.tables.workbook import frame_as_workbook, header_of, is_workbook

FORMAT = 1
NOTICE = "Research use only: not for clinical use."


def as_table(answer: Answer) -> pd.DataFrame:
    """One row per file, in order: `file`, `file_name` (without its folders), then per label
    `prob_`, `adjusted_` (where the loss distorts), `calibrated_` (where asked for),
    `threshold_` and `positive_` (1, 0, `withheld`, missing without a threshold), `unlike` (the
    share of out-of-fold films that are more like the training films) and `flagged` (1 where that is
    too many, 0; both missing where nobody noted which films the model knows), `warnings` and
    `error`.

    Numbers are float64, NaN in files that can't be used; decisions are Int8, or objects where some
    may be withheld.
    """
    columns: dict[str, object] = {
        "file": [printable(row.path) for row in answer.rows],
        "file_name": [printable(row.path.name) for row in answer.rows],
    }
    for prefix, values in _arrays(answer).items():
        for k, label in enumerate(answer.card.labels):
            columns[f"{prefix}_{label}"] = values[:, k]
    columns["unlike"] = answer.unlike
    columns["flagged"] = np.where(np.isnan(answer.unlike), np.nan, answer.flagged)
    columns["warnings"] = ["; ".join(row.warnings) for row in answer.rows]
    columns["error"] = [row.reason for row in answer.rows]
    names = [f"positive_{label}" for label in answer.card.labels]
    table = pd.DataFrame(columns).astype(dict.fromkeys([*names, "flagged"], "Int8"))
    if answer.withheld is None:
        return table
    held = pd.DataFrame(answer.withheld, columns=names)
    return table.assign(
        **{name: table[name].astype(object).mask(held[name], WITHHELD) for name in names}
    )


def as_csv(answer: Answer) -> str:
    """`as_table` as CSV. Numbers are the shortest text that reads back as the same float64."""
    table = as_table(answer)
    numbers = table.select_dtypes("float").columns
    return frame_as_csv(table.assign(**{name: table[name].map(_text) for name in numbers}))


def as_workbook(answer: Answer) -> bytes:
    """`as_table` as an Excel workbook of one sheet."""
    return frame_as_workbook(as_table(answer), "predictions")


def as_json(answer: Answer) -> str:
    """Everything: the model, its operating points, each image's labels, and files that failed."""
    card, labels = answer.card, answer.card.labels
    content = {
        "format": FORMAT,
        "notice": NOTICE,
        "model": {
            "path": printable(card.path),
            "members": card.count,
            "trained_on": card.facts.get("trained_on"),
        },
        "operating_point": str(answer.rule),
        "decision": "positive where probability > threshold",
        "calibration": answer.calibration,
        "labels": {
            label: {
                **answer.points[label],
                "prevalence": card.facts["training_prevalence"][label],
                **_inflation(answer, label),
                **_calibration(answer, label),
                "doubt": answer.doubt(label),
            }
            for label in labels
        },
        "doubts": answer.doubts,
        **warned.as_facts(answer),
        "images": [_image(answer, number) for number in answer.readable],
        "unreadable": [
            {"file": printable(row.path), "reason": row.reason} for row in answer.rows if row.reason
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def is_answer(path: Path) -> bool:
    """Whether `as_csv`, `as_workbook` or `as_json` wrote a file."""
    if is_workbook(path):
        return list(header_of(path))[:2] == ["file", "file_name"]
    try:
        with path.open(encoding="utf-8") as file:
            begin = file.read(1000)
    except (OSError, UnicodeDecodeError):
        return False
    return begin.startswith("file,file_name,") or f'"notice": "{NOTICE}"' in begin


def _inflation(answer: Answer, label: str) -> dict:
    known = answer.card.facts.get("inflation")
    return {"inflation": known[label]} if known else {}


def _calibration(answer: Answer, label: str) -> dict:
    if not answer.calibration:
        return {}
    fitted = answer.card.calibration()[label]
    kept = {key: fitted[key] for key in ("from", answer.calibration)}
    return {"calibration": kept}


def _arrays(answer: Answer) -> dict[str, np.ndarray]:
    """{prefix: (N, K)} in the order of the columns."""
    arrays = {"prob": answer.probability}
    if answer.distorted:
        arrays["adjusted"] = answer.adjusted
    if answer.calibrated is not None:
        arrays["calibrated"] = answer.calibrated
    points = [answer.points[label]["threshold"] for label in answer.card.labels]
    thresholds = np.array(points, np.float64) + np.zeros((len(answer.rows), 1))
    thresholds[[bool(row.reason) for row in answer.rows]] = np.nan
    return arrays | {"threshold": thresholds, "positive": answer.positive}


def _text(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))


def _image(answer: Answer, number: int) -> dict:
    row = answer.rows[number]
    found = {}
    for k, label in enumerate(answer.card.labels):
        values = {"probability": answer.probability}
        if answer.card.distortion is not None:
            values["adjusted"] = answer.adjusted
        if answer.calibrated is not None:
            values["calibrated"] = answer.calibrated
        found[label] = {name: _number(array[number, k]) for name, array in values.items()}
        positive = answer.positive[number, k]
        found[label]["positive"] = None if np.isnan(positive) else bool(positive)
        if answer.withheld is not None:
            found[label][WITHHELD] = bool(answer.withheld[number, k])
    far = {"unlike": _number(row.unlike), "flagged": None}
    if far["unlike"] is not None:
        far["flagged"] = bool(answer.flagged[number])
    return {"file": printable(row.path), **far, "warnings": list(row.warnings), "labels": found}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
