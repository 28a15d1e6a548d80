"""Which macro AUROC of a cross-validation to cite: the pooled one, or the mean over folds."""

from collections.abc import Mapping

FAR = 0.01
"""How far the mean over folds may lie from the pooled value before that is no longer cited."""


def which_auroc(metrics: Mapping) -> dict[str, str] | None:
    """What to cite, and why, in words.

    The mean over folds compares films that one model scored, so it leaves out films' ranks across
    folds, and labels that a fold lacks. The pooled value ranks all films together, for which the
    folds' scores must be on one scale; if they aren't, it differs, and mostly is too low (Parker et
    al., BMC Bioinformatics 2007;8:326; Forman and Scholz, SIGKDD Explorations 2010;12:49).

    Args:
        metrics: a `metrics.json`.

    Returns:
        `cite` (`pooled` or `over_folds`) and `why`; None without folds, or without an AUROC.
    """
    macro = metrics["macro"]
    pooled, over = macro["pooled"]["auroc"], macro.get("over_folds", {}).get("auroc")
    if pooled is None or not over or over["mean"] is None:
        return None
    lacking = _lacking(metrics)
    values = f"pooled {pooled:.3f}, mean over folds {over['mean']:.3f}"
    beside = (
        "Give the mean over folds beside it with its standard deviation, which is no interval: "
        "folds share their training films."
    )
    if lacking:
        why = (
            f"the mean over folds leaves out {_some(lacking)}, which some fold can't score, "
            "and the interval over patients is the pooled value's"
        )
        return {"cite": "pooled", "why": f"Cite the pooled AUROC ({values}): {why}. {beside}"}
    if abs(over["mean"] - pooled) > FAR:
        why = (
            "the pooled value ranks films against each other that different models scored, and "
            "that changes it here, so their scores aren't on one scale"
        )
        return {
            "cite": "over_folds",
            "why": f"Cite the mean over folds ({values}), and say so: {why}. The interval on this "
            "page is the pooled value's.",
        }
    why = (
        "every film counts once, the interval over patients belongs to it, and the folds' scores "
        "are on one scale, as the two agree"
    )
    return {"cite": "pooled", "why": f"Cite the pooled AUROC ({values}): {why}. {beside}"}


def _lacking(metrics: Mapping) -> list[str]:
    """Labels with an AUROC pooled, but not in each fold."""
    return [
        name
        for name, part in metrics["per_label"].items()
        if part["pooled"]["auroc"] is not None
        and part["over_folds"]["auroc"]["folds"] < len(metrics["folds"])
        and name not in metrics.get("left_out", ())
    ]


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} labels"
