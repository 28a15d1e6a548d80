"""A study in words: names, numbers, and the conclusions that its intervals allow."""

from collections.abc import Mapping, Sequence

from data_prep.progress import duration

METHOD = {"regular": "Regular", "mixed": "Mixed", "cotrain": "Co-trained"}
ALPHA = 0.05
NONE = "–"


def number(value: float | None, digits: int = 3) -> str:
    """0.123, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def mean_sd(over: Mapping, digits: int = 3, scale: float = 1.0) -> str:
    """0.123 ± 0.045."""
    if over["mean"] is None:
        return NONE
    spread = "" if over["sd"] is None else f" ± {scale * over['sd']:.{digits}f}"
    return f"{scale * over['mean']:.{digits}f}{spread}"


def interval(part: Mapping, *, signed: bool = False) -> str:
    """0.123 (0.100 to 0.150)."""
    if part["value"] is None:
        return NONE
    sign = "+" if signed else ""
    said = f"{part['value']:{sign}.3f}"
    if part["low"] is None:
        return said
    return f"{said} ({part['low']:{sign}.3f} to {part['high']:{sign}.3f})"


def p_value(p: float | None) -> str:
    """0.012, or < 0.001."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def reading(part: Mapping) -> str:
    """What a corrected difference allows one to say of its first run."""
    if part["p_holm"] is None:
        return NONE
    if part["p_holm"] > ALPHA:
        return "not distinguishable"
    return "higher" if part["value"] > 0 else "lower"


def took(seconds: float | None) -> str:
    """A duration, if it is known."""
    return NONE if seconds is None else duration(seconds)


def plural(count: int, noun: str) -> str:
    """1 cell, 2 cells."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def sentence(family: Mapping, names: Mapping[str, str], images: int) -> str:
    """One perspective's conclusion: which differences there are, and on how many images.

    Args:
        family: of `compare_cells`.
        names: of the runs, as the sentence should call them.
        images: that were scored.
    """
    pairs, where = family["pairs"], f"on {plural(images, 'image')}"
    by_precision = len(_sure(pairs, "average_precision"))
    also = (
        f" By average precision, {by_precision} of {len(pairs)} can be told from chance."
        if by_precision
        else ""
    )
    told = _sure(pairs, "auroc")
    if told:
        return _which(told, names, len(pairs), where) + also
    if len(pairs) == 1:
        both = f"{names[pairs[0]['first']]} and {names[pairs[0]['second']]}"
        return f"{both} are not distinguishable by macro AUROC {where}.{also}"
    return f"Not one of {len(pairs)} differences in macro AUROC is distinguishable {where}.{also}"


def _sure(pairs: Sequence[Mapping], metric: str) -> list[Mapping]:
    found = [pair for pair in pairs if reading(pair[metric]) in ("higher", "lower")]
    return sorted(found, key=lambda p: (p[metric]["p_holm"], -abs(p[metric]["value"])))


def _which(told: Sequence[Mapping], names: Mapping[str, str], count: int, where: str) -> str:
    shown = "; ".join(_told(pair, names) for pair in told[:3])
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    rest = count - len(told)
    others = f" The other {rest} {_are(rest)} not distinguishable {where}." if rest else ""
    can = f"{len(told)} of {plural(count, 'difference')} in macro AUROC can be told from chance"
    return f"{can}: {shown}{more}.{others}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _told(pair: Mapping, names: Mapping[str, str]) -> str:
    part = pair["auroc"]
    pair_names = names[pair["first"]], names[pair["second"]]
    higher, lower = pair_names if part["value"] > 0 else pair_names[::-1]
    low, high = sorted((abs(part["low"]), abs(part["high"])))
    return f"{higher} above {lower} by {abs(part['value']):.3f} ({low:.3f} to {high:.3f})"
