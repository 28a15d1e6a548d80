"""A study's results as files: study.csv, study.json, study.md and study.html."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cxrkeras.evaluation.evidence.doubts import ScoreDoubts
from cxrkeras.evaluation.report.page import page
from cxrkeras.study.report import tables, words
from cxrkeras.study.report.differences import best_of, compare_cells
from cxrkeras.study.report.plots import KINDS
from cxrkeras.study.report.results import CALLS, RANKING, Cell, read_cells
from cxrkeras.study.report.sections import Section, sections
from cxrkeras.study.report.tables import Table
from data_prep.files import atomic_write_json, atomic_write_text
from data_prep.tables.cells import frame_as_csv

FORMAT = 1
NOTES = (
    "Training accuracy and error: of the epoch whose weights were kept (the one with the "
    "smallest validation loss if early stopping had a validation part, otherwise the last), mean "
    "± sample standard deviation over folds. Keras measures them while it trains, under dropout "
    "and augmentation, as was done for the study's. They aren't evidence: where findings are "
    "rare, finding nothing at all is more accurate than many classifiers.",
    "Test: the held-out test set, scored with the mean over the folds' models. Out of fold: "
    "every other image, scored by the one model that didn't train on it. AP and AUC are macro "
    "means over the findings; Hamming loss is the share of wrong decisions among all entries, on "
    "the test set if there is one. The prevalence rule is the study's; the corrected rule, if "
    "it is known what the loss did to the scores, undoes that first.",
    "The intervals cover the choice of patients (of images, if patients are unknown). They don't "
    "cover another seed, another hospital, or the choice of the best among many.",
)


def write_study(out: Path) -> None:
    """Rewrite a study's tables and report from its `cells.json` and finished runs.

    Args:
        out: the study's folder.

    Raises:
        UserError: it holds no study, or a finished run in it can't be read.
    """
    title, cells = read_cells(out)
    compared = compare_cells(cells)
    shown = sections(cells, compared)
    atomic_write_text(out / "study.csv", _csv(cells, compared))
    atomic_write_json(out / "study.json", _json(title, cells, compared))
    atomic_write_text(out / "study.md", _markdown(title, cells, shown))
    atomic_write_text(out / "study.html", _html(title, cells, shown))


def _csv(cells: Sequence[Cell], compared: Mapping | None) -> str:
    rows = [_flat(cell, compared) for cell in cells]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = pd.DataFrame(rows, columns=columns)
    return frame_as_csv(table, float_format="%.9g")


def _flat(cell: Cell, compared: Mapping | None) -> dict:
    """One row of study.csv; unknown values are blank."""
    row = {
        "cell": cell.name,
        "setting": cell.setting,
        "backbone": cell.backbone,
        "recipe": cell.recipe,
        "method": cell.method,
        "source": " ".join(",".join(chain) for chain in cell.links),
        "state": cell.word,
        "reason": cell.reason,
        "seconds": round(cell.seconds, 1),
    }
    if not cell.results:
        return row
    results, own = cell.results, cell.results["out_of_fold"]
    row |= {name: results[name] for name in ("images", "patients", "folds")}
    for name, over in results["training"].items():
        if name != "epochs":
            row |= {f"training_{name}_mean": over["mean"], f"training_{name}_sd": over["sd"]}
    for metric in RANKING:
        interval = compared["cells"][cell.name]["out_of_fold"][metric]
        over = own["over_folds"][metric]
        row |= {
            f"out_of_fold_{metric}": own[metric],
            f"out_of_fold_{metric}_low": interval["low"],
            f"out_of_fold_{metric}_high": interval["high"],
            f"folds_{metric}_mean": over["mean"],
            f"folds_{metric}_sd": over["sd"],
        }
    counted = (*CALLS, "all_negative_accuracy", "random_average_precision")
    row |= {f"out_of_fold_{name}": own[name] for name in counted}
    if results["test"]:
        wanted = ("images", *RANKING, *counted)
        row |= {f"test_{name}": results["test"][name] for name in wanted}
        for metric in RANKING:
            interval = compared["cells"][cell.name]["test"][metric]
            row |= {f"test_{metric}_{end}": interval[end] for end in ("low", "high")}
    return row


def _json(title: str, cells: Sequence[Cell], compared: Mapping | None) -> dict:
    return {
        "format": FORMAT,
        "title": title,
        "cells": [
            {
                **{key: value for key, value in _flat(cell, compared).items() if key == "cell"},
                "setting": cell.setting,
                "backbone": cell.backbone,
                "recipe": cell.recipe,
                "method": cell.method,
                "source": [list(chain) for chain in cell.links],
                "state": cell.word,
                "reason": cell.reason,
                "seconds": cell.seconds,
                "results": cell.results,
                "published": _published(cell),
            }
            for cell in cells
        ],
        "compared": compared,
    }


def _published(cell: Cell) -> dict | None:
    row = tables.published_of(cell)
    return None if row is None else vars(row)


def _extra(cells: Sequence[Cell]) -> list[Table]:
    return [
        table
        for table in (
            tables.published_table(cells),
            *tables.cost_tables(cells),
            tables.unfinished_table(cells),
        )
        if table
    ]


def _markdown(title: str, cells: Sequence[Cell], shown: Sequence[Section]) -> str:
    parts = [f"# Study {title}", "", _lede(cells), ""]
    if doubts := _doubts(cells):
        parts += ["## Before you believe a number", "", *(f"- {said}" for said in doubts), ""]
    for section in shown:
        parts += [f"## {section.title}", "", section.text, ""]
        for part in (part for part in section.parts if part.sentence or part.tables):
            parts += [f"### {part.title}", ""] if part.title else []
            parts += [part.sentence, ""] if part.sentence else []
            parts += [table.markdown() for table in part.tables]
    parts += ["## Published figures, cost", "", *(table.markdown() for table in _extra(cells))]
    parts += ["## Reading the tables", "", *(f"- {note}" for note in NOTES), ""]
    return "\n".join(parts)


def _lede(cells: Sequence[Cell]) -> str:
    done = [cell for cell in cells if cell.results]
    said = f"{len(done)} of {words.plural(len(cells), 'cell')} done."
    if not done:
        return said
    results = done[0].results
    test = results["test"]
    patients = words.plural(results["patients"], "patient") if results["patients"] else ""
    size = (
        f"{words.plural(results['images'], 'image')} of {patients or 'unknown patients'} in "
        f"{words.plural(results['folds'], 'fold')}, "
        f"{words.plural(len(results['labels']), 'finding')}"
    )
    held = (
        f"; {words.plural(test['images'], 'image')} held out as a test set"
        if test
        else ("; there is no held-out test set, so its columns are empty")
    )
    return f"{said} {size}{held}."


def _doubts(cells: Sequence[Cell]) -> list[str]:
    """What must be said before a number is believed: about cells by name, labels over all."""
    done = [cell for cell in cells if cell.results]
    told, labels = [], Counter()
    for cell in done:
        doubts = ScoreDoubts(**cell.results["doubts"])
        labels.update(list(doubts.labels))
        own = [*cell.results["features"], *doubts._replace(labels={}).sentences]
        told += [f"{cell.name}: {sentence}" for sentence in own]
    if labels:
        each = ", ".join(f"{label} ({count})" for label, count in labels.most_common())
        of = words.plural(len(done), "cell")
        told.append(
            f"AUROCs that can't be told from chance (0.5), and in how many of {of}: {each}."
        )
    return told


def _html(title: str, cells: Sequence[Cell], shown: Sequence[Section]) -> str:
    done = [cell for cell in cells if cell.results]
    backbones = list(dict.fromkeys(cell.backbone for cell in cells))
    context = {
        "title": title,
        "lede": _lede(cells),
        "warnings": _doubts(cells),
        "cells": cells,
        "done": done,
        "best": best_of(done),
        "number": words.number,
        "sections": shown,
        "extra": _extra(cells),
        "notes": NOTES,
        "colours": [(name, KINDS[i % len(KINDS)]) for i, name in enumerate(backbones)],
        "together": _together,
    }
    return page(__package__, "study.html", context)


def _together(text: str) -> str:
    """A figure may break only before its interval."""
    for word in (" ± ", " to "):
        text = text.replace(word, word.replace(" ", "\N{NO-BREAK SPACE}"))
    return text
