"""What a comparison of two runs comes to, in one sentence."""

from collections.abc import Mapping

NAMES = {"auroc": "macro AUROC", "average_precision": "average precision"}


def verdict(difference: Mapping, comparison: Mapping, comparisons: int = 1) -> str:
    """One sentence: better, worse or not distinguishable, with the differences and their intervals.

    Args:
        difference: one of `compare_predictions`'s differences, with `p_holm`.
        comparison: its `images` and `level`.
        comparisons: how many there are; with more than one, Holm's correction decides.
    """
    level, images = comparison["level"], comparison["images"]
    after = f" after Holm's correction for {comparisons} comparisons" if comparisons > 1 else ""
    where = f"on {images:,} image{'' if images == 1 else 's'}{after}"
    figures = ", ".join(f"{name} {interval(difference[score])}" for score, name in NAMES.items())
    labels = [label for label, part in difference["per_label"].items() if sure(part, level)]
    by_label = f"; by label, Holm-corrected: {', '.join(labels)}" if labels else ""
    return f"{_head(difference, level, where)}: {figures}, {percent(level)} intervals{by_label}."


def direction(difference: Mapping) -> str:
    """Which way a difference goes, by the runs' names."""
    return f"{difference['run']} minus {difference['reference']}"


def sure(part: Mapping, level: float) -> bool:
    """Whether a difference is told from 0, after Holm's correction."""
    return part["p_holm"] is not None and part["p_holm"] < 1 - level


def interval(part: Mapping, key: str = "value") -> str:
    """A difference with its interval, `+0.012 (-0.003 to +0.027)`; a dash where undefined."""
    if part[key] is None:
        return "–"
    span = "no interval" if part["low"] is None else f"{part['low']:+.3f} to {part['high']:+.3f}"
    return f"{part[key]:+.3f} ({span})"


def percent(level: float) -> str:
    """0.95 as `95%`, 0.975 as `97.5%`."""
    return f"{100 * level:g}%"


def _head(difference: Mapping, level: float, where: str) -> str:
    run, reference = difference["run"], difference["reference"]
    words = {name: _word(difference[score], level) for score, name in NAMES.items()}
    different = set(words.values())
    if len(different) > 1:
        told = " and ".join(f"{word} in {name}" for name, word in words.items())
        return f"{run} against {reference} is {told} {where}"
    word = different.pop()
    if word in ("better", "worse"):
        return f"{run} is {word} than {reference} {where}"
    return f"{reference} and {run} are {word} {where} ({direction(difference)})"


def _word(part: Mapping, level: float) -> str:
    if part["p"] is None:
        return "not comparable"
    if not sure(part, level):
        return "not distinguishable"
    return "better" if part["value"] > 0 else "worse"
