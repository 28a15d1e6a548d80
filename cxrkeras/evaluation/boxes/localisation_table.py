"""Localisation as a table: the ChestX-ray8 paper's form, rows for CSV, and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan

from cxrkeras.evaluation.boxes.localisation import CRITERIA, Case, Localisation, by_label, localise
from cxrkeras.evaluation.boxes.pointing import Pointing, play

ALL = "all labels"


@dataclass(frozen=True)
class Scores:
    """The scores of one label's cases; `pointing` uses the chosen tolerance."""

    boxes: Localisation
    pointing: Pointing


def score(
    cases: Sequence[Case], labels: Sequence[str], tolerance: float = 0.0
) -> dict[str, Scores]:
    """{label: scores} of each label that has cases, and of all of them together as `ALL`."""
    parts = {**by_label(cases, labels), ALL: list(cases)}
    return {
        label: Scores(localise(part), play(part, tolerance))
        for label, part in parts.items()
        if part
    }


def rows(scores: Mapping[str, Scores]) -> list[tuple]:
    """One row per label, criterion and threshold, under `HEADER`."""
    return [
        (label, one.boxes.images, one.boxes.boxes, name, t, share, false)
        for label, one in scores.items()
        for name in CRITERIA
        for (t, share), false in zip(
            one.boxes.accuracy[name].items(), one.boxes.false_positives[name].values(), strict=True
        )
    ]


HEADER = (
    "label",
    "images",
    "boxes",
    "criterion",
    "threshold",
    "accuracy",
    "false_positives_per_image",
)


def as_json(scores: Mapping[str, Scores]) -> dict:
    """The same for `localisation.json`, with the pointing game."""
    return {
        label: {"boxes": asdict(one.boxes), "pointing": _pointing(one.pointing)}
        for label, one in scores.items()
    }


def _pointing(one: Pointing) -> dict:
    facts = {**asdict(one), "share": one.share}
    return facts | {"swapped": None if isnan(one.swapped) else one.swapped}


def as_text(scores: Mapping[str, Scores], tolerance: float = 0.0) -> str:
    """The tables as text: pointing game, then accuracy (Acc.) and AFP by threshold."""
    return "\n".join([*_pointing_lines(scores, tolerance), "", *_box_lines(scores)]) + "\n"


def _pointing_lines(scores: Mapping[str, Scores], tolerance: float) -> list[str]:
    margin = f", {tolerance:g} px of tolerance" if tolerance else ""
    lines = [
        f"Pointing game: the map's highest point lies in a known box{margin}.",
        f"{'label':<24}{'images':>7}{'patients':>10}{'hits':>7}{'95% interval':>17}"
        f"{'chance':>8}{'swapped':>9}",
    ]
    for label, one in scores.items():
        p = one.pointing
        interval = f"{p.low:.3f} - {p.high:.3f}"
        lines.append(
            f"{label[:23]:<24}{p.cases:>7}{p.patients:>10}{p.share:>7.3f}{interval:>17}"
            f"{p.chance:>8.3f}{'-' if isnan(p.swapped) else f'{p.swapped:.3f}':>9}"
        )
    return [
        *lines,
        "chance: a random point. swapped: the same maps against other patients' boxes of the "
        "label; -: there are none.",
    ]


def _box_lines(scores: Mapping[str, Scores]) -> list[str]:
    width = [max(10, len(label) + 2) for label in scores]
    lines = [
        "Boxes from maps, as in Wang et al. 2017 (CVPR): Acc. = share of the known boxes found;",
        "AFP = false positives per image; T = threshold to exceed.",
        _line("", "", list(scores), width),
    ]
    lines.append(_line("", "boxes", [str(s.boxes.boxes) for s in scores.values()], width))
    for name, (_, thresholds) in CRITERIA.items():
        for t in thresholds:
            shares = [f"{s.boxes.accuracy[name][t]:.3f}" for s in scores.values()]
            alarms = [f"{s.boxes.false_positives[name][t]:.3f}" for s in scores.values()]
            lines.append(_line(f"T({name}) = {t:g}", "Acc.", shares, width))
            lines.append(_line("", "AFP", alarms, width))
    return lines


def _line(title: str, what: str, cells: Sequence[str], width: Sequence[int]) -> str:
    return f"{title:<15}{what:<6}" + "".join(
        f"{cell:>{wide}}" for cell, wide in zip(cells, width, strict=True)
    )
