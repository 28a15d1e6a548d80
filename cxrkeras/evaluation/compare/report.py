"""A comparison as files: JSON, CSV, and one HTML page for screen and paper."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from markupsafe import Markup

from cxrkeras.evaluation.compare.compare import SCORES
from cxrkeras.evaluation.compare.verdict import direction, sure
from cxrkeras.evaluation.report import plots
from cxrkeras.evaluation.report.page import page
from data_prep.files import atomic_write_json, atomic_write_text
from data_prep.outputs import remove
from data_prep.tables.cells import rows_as_csv

COLUMNS = ("run", "reference", "label", "score", "difference", "low", "high", "p", "p_holm")
DELONG = "DeLong's test"
OBUCHOWSKI = "DeLong's test in Obuchowski's form for patients with several images"


def is_comparison(out: Path) -> bool:
    """Whether `write_comparison` has written into a folder."""
    return (out / "comparison.json").is_file()


def write_comparison(out: Path, comparison: Mapping) -> Path:
    """Write `comparison.json`, `comparison.csv` and `comparison.html`.

    Args:
        out: the folder, created if necessary.
        comparison: what `compare_predictions` gave.

    Returns:
        The page's path.
    """
    remove(out / name for name in ("comparison.html", "comparison.csv"))
    atomic_write_json(out / "comparison.json", comparison)
    atomic_write_text(out / "comparison.csv", _table(comparison))
    path = out / "comparison.html"
    atomic_write_text(path, page(__package__, "compare.html", _context(comparison)))
    return path


def _table(comparison: Mapping) -> str:
    table = []
    for difference in comparison["differences"]:
        pair = difference["run"], difference["reference"]
        for label, score, part in _rows(difference):
            value = part["difference"] if "difference" in part else part["value"]
            table.append([*pair, label, score, value, *(part[c] for c in COLUMNS[5:])])
    return rows_as_csv(COLUMNS, table)


def _rows(difference: Mapping) -> Iterator[tuple[str, str, Mapping]]:
    yield from (("macro mean", score, difference[score]) for score in SCORES)
    yield from ((label, "auroc", part) for label, part in difference["per_label"].items())


def _context(comparison: Mapping) -> dict:
    runs, differences = comparison["runs"], comparison["differences"]
    names = list(runs)
    limits = {score: _limits([run[score] for run in runs.values()]) for score in SCORES}
    reach = _reach([d[score] for d in differences for score in SCORES])
    label_reach = _reach([part for d in differences for part in d["per_label"].values()])
    return {
        "c": comparison,
        "title": f"{names[0]} and {names[1]}" if len(names) == 2 else f"{len(names)} runs compared",
        "direction": direction,
        "sure": lambda part: sure(part, comparison["level"]),
        "test": DELONG if comparison["units"] == comparison["images"] else OBUCHOWSKI,
        "run_axes": {score: plots.strip_axis(limits[score]) for score in SCORES},
        "axis": plots.strip_axis((-reach, reach)),
        "label_axis": plots.strip_axis((-label_reach, label_reach)),
        "run_strips": {
            name: {
                score: _strip(run[score]["value"], run[score], limits[score], f"{name}, {score}")
                for score in SCORES
            }
            for name, run in runs.items()
        },
        "strips": [_strips(difference, reach, label_reach) for difference in differences],
    }


def _strips(difference: Mapping, reach: float, label_reach: float) -> dict:
    pair = direction(difference)
    return {
        **{
            score: _strip(
                difference[score]["value"],
                difference[score],
                (-reach, reach),
                f"{pair}, macro {score.replace('_', ' ')}",
            )
            for score in SCORES
        },
        "per_label": {
            label: _strip(part["difference"], part, (-label_reach, label_reach), f"{pair}, {label}")
            for label, part in difference["per_label"].items()
        },
    }


def _strip(value: float | None, part: Mapping, limits: tuple[float, float], words: str) -> Markup:
    text = f"{words.replace('_', ' ')}: value and interval"
    reference = 0.0 if limits[0] < 0 else None
    return plots.strip(value, [], reference, limits, text, interval=part, wide=True)


def _reach(parts: list[Mapping]) -> float:
    """How far an axis about 0 must go for all intervals, rounded up."""
    ends = [abs(end) for part in parts for end in (part["low"], part["high"]) if end is not None]
    return max(0.02, math.ceil(max(ends, default=0.0) * 50) / 50)


def _limits(parts: list[Mapping]) -> tuple[float, float]:
    """The ends of an axis for scores, on twentieths, around all intervals."""
    ends = [end for part in parts for end in part.values() if end is not None]
    if not ends:
        return 0.0, 1.0
    return math.floor(min(ends) * 20) / 20, max(
        math.ceil(max(ends) * 20) / 20, math.floor(min(ends) * 20) / 20 + 0.05
    )
