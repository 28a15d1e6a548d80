"""Suspect labels as files: a table, and a page with the films for whoever checks them."""

from pathlib import Path

import pandas as pd

from cxrkeras.evaluation.report.page import page
from cxrkeras.evaluation.report.samples import inline
from cxrkeras.evaluation.suspects.find import Suspects
from data_prep.files import atomic_write_text
from data_prep.tables.cells import frame_as_csv

TABLE, PAGE = "suspects.csv", "suspects.html"
FILES = (TABLE, PAGE)


def is_suspects(out: Path) -> bool:
    """Whether `write_suspects` has written into a folder."""
    return (out / TABLE).is_file()


def write_suspects(
    out: Path, found: Suspects, dataset: Path | None, *, title: str, shown: int = 24
) -> Path:
    """Write `suspects.csv`, and `suspects.html` with the films of the first groups.

    Args:
        out: the folder, created if necessary.
        found: what is written.
        dataset: the prepared dataset with the images; None for a page without films.
        title: of the page.
        shown: films on the page.

    Returns:
        The page's path.
    """
    out.mkdir(parents=True, exist_ok=True)
    context = {
        "title": title,
        "counts": found.counts,
        "images": found.images,
        "listed": len(found.table),
        "groups": found.table["together"].nunique(),
        "films": _films(found.table, dataset, shown),
    }
    atomic_write_text(out / PAGE, page(__package__, "suspects.html", context))
    table = found.table.assign(
        **{name: [f"{v:.4g}" for v in found.table[name]] for name in ("probability", "confidence")}
    )
    atomic_write_text(out / TABLE, frame_as_csv(table))
    return out / PAGE


def _films(table: pd.DataFrame, dataset: Path | None, shown: int) -> list[dict]:
    """The first films with their suspect entries and pictures."""
    films = []
    for image, entries in list(table.groupby("image", sort=False))[: shown if dataset else 0]:
        picture = inline(dataset, image)
        if picture:
            films.append(
                {"picture": picture, "image": image, "entries": entries.to_dict("records")}
            )
    return films
