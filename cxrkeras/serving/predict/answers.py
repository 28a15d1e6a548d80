"""An answer as text for a terminal, as a CSV table and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cxrkeras.serving.predict.predict import Answer, Row
from cxrkeras.serving.predict.reached import Reached, reached
from data_prep.filenames import printable
from data_prep.tables.cells import frame_as_csv
from data_prep.tables.workbook import frame_as_workbook, header_of, is_workbook

FORMAT = 1
NOTICE = "Research use only: not for clinical use."
FULL = 3  # so many images are told label by label; of more, only what is called
_MANY = 100  # positives
_DECISIONS = {1.0: "yes", 0.0: "no"}


def as_lines(answer: Answer) -> Iterator[str]:
    """As text: what is positive in each image, and where each label's threshold comes from."""
    readable = answer.readable
    full = len(readable) <= FULL
    for number in readable:
        name = printable(answer.rows[number].path)
        if full:
            yield from (name, *_image_table(answer, number), "")
        else:
            yield f"{name}: {_positives(answer, number)}"
    if readable:
        yield from ([] if full else ["", *_label_table(answer), ""])
        yield from _legend(answer, full)
    yield from _refused(answer)
    yield NOTICE


def as_table(answer: Answer) -> pd.DataFrame:
    """One row per file, in order: `file`, `file_name` (without its folders), then per label
    `prob_`, `adjusted_` (where the loss distorts), `calibrated_` (where asked for),
    `threshold_` and `positive_` (1, 0, missing without a threshold), `warnings` and `error`.

    Numbers are float64, NaN in files that can't be used; decisions are Int8.
    """
    columns: dict[str, object] = {
        "file": [printable(row.path) for row in answer.rows],
        "file_name": [printable(row.path.name) for row in answer.rows],
    }
    for prefix, values in _arrays(answer).items():
        for k, label in enumerate(answer.card.labels):
            columns[f"{prefix}_{label}"] = values[:, k]
    columns["warnings"] = ["; ".join(row.warnings) for row in answer.rows]
    columns["error"] = [row.reason for row in answer.rows]
    decisions = {f"positive_{label}": "Int8" for label in answer.card.labels}
    return pd.DataFrame(columns).astype(decisions)


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
    if np.isnan(value):
        return ""
    return str(int(value)) if value in _DECISIONS else repr(float(value))


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
    return {"file": printable(row.path), "warnings": list(row.warnings), "labels": found}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _positives(answer: Answer, number: int) -> str:
    """`Effusion 0.72 (0.18), Mass 0.66 (0.12)`, the highest above their thresholds first."""
    told = answer.adjusted if answer.calibrated is None else answer.calibrated
    second = answer.distorted or answer.calibrated is not None
    excess = {
        k: answer.probability[number, k] - answer.points[label]["threshold"]
        for k, label in enumerate(answer.card.labels)
        if answer.positive[number, k] == 1
    }
    names = []
    for k in sorted(excess, key=lambda k: -excess[k]):
        (first,) = _figures([answer.probability[number, k]])
        brackets = f" ({_figures([told[number, k]])[0]})" if second else ""
        names.append(f"{answer.card.labels[k]} {first}{brackets}")
    return ", ".join(names) or "nothing positive"


def _image_table(answer: Answer, number: int) -> list[str]:
    """One image, label by label."""
    columns = {"label": list(answer.card.labels)}
    columns["probability"] = _figures(answer.probability[number])
    if answer.distorted:
        columns["adjusted"] = _figures(answer.adjusted[number])
    if answer.calibrated is not None:
        columns["calibrated"] = _figures(answer.calibrated[number])
    columns["prevalence"] = _prevalence(answer)
    columns["threshold"] = _thresholds(answer)
    columns["positive"] = [_DECISIONS.get(decision, "-") for decision in answer.positive[number]]
    columns["threshold from"] = _origins(answer)
    return _table(columns)


def _label_table(answer: Answer) -> list[str]:
    """All images, label by label."""
    counts = np.nansum(answer.positive[answer.readable], axis=0).astype(int)
    columns = {
        "label": list(answer.card.labels),
        "positive": [f"{count:,} of {len(answer.readable):,}" for count in counts],
        "prevalence": _prevalence(answer),
        "threshold": _thresholds(answer),
        **_expected(answer),
        "threshold from": _origins(answer),
    }
    return _table(columns)


def _reached(answer: Answer) -> Reached:
    return reached(answer.points, answer.card.labels, answer.card.count)


def _expected(answer: Answer) -> dict[str, list[str]]:
    """Columns with what the thresholds achieve, if that is known."""
    found = _reached(answer)
    columns = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    return {name: _figures(values) for name, values in columns.items() if found.where}


def _prevalence(answer: Answer) -> list[str]:
    known = answer.card.facts["training_prevalence"]
    return _figures([known[label] for label in answer.card.labels])


def _thresholds(answer: Answer) -> list[str]:
    return _figures([answer.points[label]["threshold"] for label in answer.card.labels])


def _origins(answer: Answer) -> list[str]:
    return [answer.points[label]["from"] for label in answer.card.labels]


def _figures(values) -> list[str]:
    return ["-" if v is None or np.isnan(v) else f"{v:.3f}" for v in values]


def _table(columns: dict[str, list[str]]) -> list[str]:
    """Text to the left (the first column and the last), figures to the right."""
    names = list(columns)
    widths = [max(len(name), *map(len, columns[name])) for name in names]
    lines = []
    for cells in [names, *zip(*columns.values(), strict=True)]:
        *figures, last = zip(cells[1:], widths[1:], strict=True)
        middle = "  ".join(f"{cell:>{width}}" for cell, width in figures)
        lines.append(f"  {cells[0]:<{widths[0]}}  {middle}  {last[0]}")
    return lines


def _legend(answer: Answer, full: bool) -> Iterator[str]:
    if answer.card.count > 1:
        yield f"probability: {_combined(answer)}."
    yield "positive: the probability is above the threshold."
    if not full and (where := _reached(answer).where):
        yield f"sensitivity, specificity: {where}"
    told = {"adjusted": _distortion(answer), "calibrated": _calibrated(answer)}
    told = {name: words for name, words in told.items() if words}
    if not full and told:
        name = list(told)[-1]
        told = {f"in brackets, {name}": told[name]}
    yield from (f"{name}: {words}" for name, words in told.items())
    yield from (f"Before you believe it: {doubt}" for doubt in answer.doubts)
    warned = Counter(warning for row in answer.rows for warning in row.warnings)
    for warning, count in warned.most_common():
        first = next(printable(row.path) for row in answer.rows if warning in row.warnings)
        yield f"{first if count == 1 else f'{first} and {count - 1:,} more'}: {warning}"


def _combined(answer: Answer) -> str:
    who, how = answer.card.who, answer.card.facts.get("combine", "mean")
    if how == "ranks":
        return f"not a probability, but the mean rank by {who} among their out-of-fold scores"
    return f"the mean of {who}" + (", taken over log odds" if how == "logits" else "")


def _distortion(answer: Answer) -> str:
    if not answer.distorted:
        return ""
    known = answer.card.facts.get("inflation")
    if not known:
        return "with what the loss did to the probability undone; compare it with the prevalence."
    factors = np.array([known[name] for name in answer.card.labels])
    alike = np.ptp(factors) < 0.05 * factors.min()
    by = f"{factors.mean():.1f}" if alike else "a factor for each label"
    return (
        f"with the loss's weights undone, which multiply the odds by {by}; "
        "compare it with the prevalence."
    )


def _calibrated(answer: Answer) -> str:
    if not answer.calibration:
        return ""
    fitted = answer.card.calibration()
    few = sum(fitted[label]["positives"] < _MANY for label in answer.card.labels)
    told = f"by {answer.calibration}, fitted out of fold."
    if answer.calibration != "isotonic" or not few:
        return told
    share = f"{few} of {len(answer.card.labels)} labels have fewer than {_MANY}"
    return f"{told} It needs hundreds of positives, and {share}: temperature is the safer choice."


def _refused(answer: Answer) -> list[str]:
    refused: list[Row] = [row for row in answer.rows if row.reason]
    lines = [f"  {printable(row.path)}: {row.reason}" for row in refused]
    return [f"Not read: {len(refused):,} of {len(answer.rows):,}", *lines] if refused else []
