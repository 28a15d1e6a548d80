"""External validation as files: everything as JSON, the predictions, and a page for people."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from cxrkeras.evaluation.evidence.doubts import few_positives, points_in_words, score_doubts
from cxrkeras.evaluation.report.page import page
from cxrkeras.evaluation.run_folder import RunFolder
from cxrkeras.evaluation.scores.predictions import Predictions, write_predictions
from data_prep.files import atomic_write_json, atomic_write_text

FACTS, PAGE = "external.json", "external.html"
_WIDTH = 26


def is_external(out: Path) -> bool:
    """Whether `write_external` has written into a folder."""
    try:
        return json.loads((out / FACTS).read_text("utf-8"))["kind"] == "external"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_external(out: Path, found: Mapping, predictions: Predictions) -> Path:
    """Write `external.json`, `predictions.csv` and `external.html`; returns the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    atomic_write_json(out / FACTS, found)
    write_predictions(RunFolder(out).predictions, predictions)
    atomic_write_text(
        out / PAGE,
        page(
            __package__,
            "external.html",
            {**found, "words": words(found), "warnings": doubts(found)},
        ),
    )
    return out / PAGE


def as_lines(found: Mapping) -> Iterator[str]:
    """The same for a terminal."""
    rule = found["about"]["rule"]
    yield "Pairs, as in 0.9 -> 0.8: out of fold, then here. obs/exp: positives observed for each"
    yield f"expected. Operating point {rule}, carried over. {found['resamples']:,} resamples of"
    yield f"{found['drawn']}."
    yield ""
    yield (
        f"{'label':<{_WIDTH}} {'positive':>8} {'prevalence':>15} {'AUROC':>15} "
        f"{'difference':>24} {'obs/exp':>8} {'slope':>6} {'sensitivity':>15} {'specificity':>15}"
    )
    for label, one in found["per_label"].items():
        point, calibration = one["points"][rule], one["calibration"]["here"] or {}
        cells = [
            f"{label:<{_WIDTH}} {one['positives']:>8,}",
            f"{_pair(one['prevalence']['before'], one['prevalence']['here']):>15}",
            f"{_pair(one['auroc']['before'], one['auroc']['here']):>15}",
            f"{_difference(one['auroc']['difference']):>24}",
            f"{_number(calibration.get('ratio'), 2):>8} {_number(calibration.get('slope'), 2):>6}",
            *(
                f"{_pair(point['before'][name], point['here'][name]):>15}"
                for name in ("sensitivity", "specificity")
            ),
        ]
        yield " ".join(cells)
    yield ""
    yield from words(found)
    yield from (f"Before you believe it: {doubt}" for doubt in doubts(found))


def doubts(found: Mapping) -> list[str]:
    """What must be said of the scores on these films, in sentences; see `evidence.doubts`."""
    per_label, rule = found["per_label"], found["about"]["rule"]
    aurocs = {label: one["auroc"]["here"] for label, one in per_label.items()}
    points = {label: _point(one, rule) for label, one in per_label.items()}
    return [
        *score_doubts(found["macro"]["here"], aurocs).sentences,
        *few_positives({label: one["positives"] for label, one in per_label.items()}),
        *points_in_words(points),
    ]


def _point(one: Mapping, rule: str) -> dict:
    """A label's operating point as `points_in_words` takes it: held out are these films."""
    point = one["points"][rule]
    reached = {name: _value(share) for name, share in point["here"].items()}
    counts = {name: one[name] for name in ("n", "positives")}
    return {"threshold": point["threshold"], "held_out": reached | counts}


def words(found: Mapping) -> list[str]:
    """What stands out, in sentences."""
    about, macro = found["about"], found["macro"]
    lines = []
    if macro["difference"] is not None and macro["difference"]["value"] is not None:
        lines.append(
            f"Macro AUROC over {len(macro['labels'])} labels: {_number(macro['here'])} here, "
            f"{_number(macro['before'])} out of fold; difference "
            f"{_difference(macro['difference'])}."
        )
    lines += _changed(found)
    if not found["compared"]:
        lines.append("This model has no out-of-fold predictions, so nothing is compared with them.")
    if (left := about["left_out"]) and sum(left.values()):
        lines.append(
            f"Left out: {left['target']} films that are the run's own, {left['copies']} copies of "
            f"these, and {left['patients']} of the same patients."
        )
    elif left:
        lines.append("No film, copy of a film or patient of the run's is among these.")
    if about["lacking"]:
        lines.append(
            f"Not scored, since these data have no such label: {', '.join(about['lacking'])}."
        )
    if about["ranks_only"]:
        lines.append("Its scores are mean ranks, not probabilities, so they aren't calibrated.")
    elif not about["undistorted"]:
        lines.append(
            "What the loss did to probabilities isn't known, so calibration is of the scores as "
            "they are."
        )
    if not about["ranks_only"]:
        lines.append(_mended(found["per_label"]))
    if (unlike := about["unlike"]) is not None:
        lines.append(
            f"{unlike['flagged']} films ({unlike['share']:.1%}) are flagged as unlike the training "
            f"films; of films like those, about {unlike['promised']:.1%} would be."
        )
    return [*lines, *(f"Note: {note}." for note in about["notes"])]


def _changed(found: Mapping) -> list[str]:
    """The labels whose AUROC differs, as far as its interval goes; and how many do so by luck."""
    told = {label: one["auroc"]["difference"] for label, one in found["per_label"].items()}
    known = {label: one for label, one in told.items() if one and one["low"] is not None}
    sides = {
        "lower": [label for label, one in known.items() if one["high"] < 0],
        "higher": [label for label, one in known.items() if one["low"] > 0],
    }
    lines = [
        f"AUROC {side} here than out of fold (intervals exclude 0): "
        + ", ".join(f"{label} {_difference(known[label])}" for label in labels)
        + "."
        for side, labels in sides.items()
        if labels
    ]
    if lines:
        luck = (1 - found["level"]) * len(known)
        lines[-1] += f" By luck alone, {luck:.1f} of {len(known)} labels would be named."
    return lines


def _mended(per_label: Mapping) -> str:
    known = [one["recalibrated"] for one in per_label.values() if one["recalibrated"]]
    if not known:
        return "A new intercept for each label can't be tried: too few films have a class."

    def mean(when: str, score: str) -> float:
        return sum(one[when][score] for one in known) / len(known)

    told = (
        f"{name} from {mean('before', score):.4f} to {mean('after', score):.4f}"
        for score, name in (("brier", "Brier score"), ("log_loss", "log loss"))
    )
    return (
        f"Recalibration in the large moves all of a label's probabilities to this place's share of "
        f"positives, by one new intercept, fitted on other patients than it is scored on. It takes "
        f"the {' and the '.join(told)} (means of {len(known)} labels; lower is better)."
    )


def _value(part: Mapping | float | None) -> float | None:
    return part["value"] if isinstance(part, Mapping) else part


def _number(part: Mapping | float | None, digits: int = 3) -> str:
    value = _value(part)
    return "-" if value is None else f"{value:.{digits}f}"


def _pair(before: Mapping | float | None, here: Mapping | float | None) -> str:
    return f"{_number(before)} -> {_number(here)}"


def _difference(part: Mapping | None) -> str:
    if part is None or part["value"] is None:
        return "-"
    ends = "" if part["low"] is None else f" ({part['low']:+.3f} to {part['high']:+.3f})"
    return f"{part['value']:+.3f}{ends}"
