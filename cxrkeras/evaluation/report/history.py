"""How training went: Keras histories of the folds and of the source stages, as figures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from cxrkeras.evaluation.report.plots import history_panel

QUANTITIES = {
    "loss": "loss",
    "binary_accuracy": "binary accuracy",
    "mae": "mean absolute error",
    "learning_rate": "learning rate",
}


def read_histories(folder: Path) -> dict[str, pd.DataFrame]:
    """{name: history} of each `NAME/history.csv` in a folder, unreadable or empty ones left out."""
    histories = {}
    for path in sorted(folder.glob("*/history.csv"), key=lambda p: (len(p.parent.name), p)):
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError):
            continue
        if len(table) and "epoch" in table:
            histories[path.parent.name] = table
    return histories


def by_step(histories: Mapping[str, pd.DataFrame], title: str) -> dict[str, dict]:
    """{title: histories}: those of fits in several steps apart, by their column `step`."""
    found: dict[str, dict] = {}
    for name, table in histories.items():
        steps = table["step"] if "step" in table else pd.Series("", table.index)
        for step in steps.unique():
            words = f"{title}: {step}" if step else title
            found.setdefault(words, {})[name] = table[steps == step]
    return found


def panels(
    histories: Mapping[str, pd.DataFrame], what: str, all_negative: float | None = None
) -> list[tuple[str, Markup]]:
    """(quantity, figure) for each quantity that the histories hold.

    Args:
        histories: {fold or stage: columns as Keras names them, `epoch` among them}.
        what: the word for one of them: `fold` or `stage`.
        all_negative: the accuracy of a model that finds nothing, drawn beside binary accuracy.
    """
    figures = []
    for column, name in QUANTITIES.items():
        lines = [
            line
            for key, table in histories.items()
            for line in _lines(table, column, f"{what} {key}")
        ]
        if lines:
            figure = history_panel(
                lines,
                name,
                f"{name} over epochs, one line for each {what}",
                reference=all_negative if column == "binary_accuracy" else None,
                log_y=column == "learning_rate",
            )
            figures.append((name, figure))
    return figures


def _lines(table: pd.DataFrame, column: str, title: str) -> list[tuple[np.ndarray, str, str]]:
    wanted = ((column, "train", "training"), (f"val_{column}", "val", "validation"))
    lines = []
    for name, kind, words in wanted:
        if name not in table:
            continue
        points = table[["epoch", name]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        # Keras counts epochs from 0, people from 1
        points = points[np.isfinite(points).all(axis=1)] + [1 - table["epoch"].min(), 0]
        if column == "learning_rate":
            points = points[points[:, 1] > 0]
        if len(points):
            lines.append((points, kind, f"{title}, {words}"))
    return lines
