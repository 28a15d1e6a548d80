"""The study's tables for your own data: the same rows and columns, with honest uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxrkeras.study.report import words
from cxrkeras.study.report.published import Published, published
from cxrkeras.study.report.results import Cell


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; the first column names the row.

    Args:
        title: what it shows.
        head: the columns' names.
        rows: as many texts as there are columns, each.
        note: how to read it.
        baseline: how many of the last rows show what a classifier without knowledge scores.
    """

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    baseline: int = 0

    def markdown(self) -> str:
        """As text: aligned columns between bars."""
        rows = [[text.replace("|", "\\|") for text in row] for row in (self.head, *self.rows)]
        width = [max(len(row[i]) for row in rows) for i in range(len(self.head))]
        first, *rest = (_line(row, width) for row in rows)
        rule = _line(
            ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(width)], width
        )
        note = [self.note, ""] if self.note else []
        return "\n".join([f"**{self.title}**", "", first, rule, *rest, "", *note])


def _line(row: Sequence[str], width: Sequence[int]) -> str:
    first, *rest = row
    cells = [first.ljust(width[0]), *(t.rjust(w) for t, w in zip(rest, width[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


SCORES = (
    "Setting",
    "Training accuracy, %",
    "Training MAE",
    "Test AP",
    "Test AUC",
    "Out-of-fold AP",
    "Out-of-fold AUC",
    "Hamming, prevalence rule",
    "Hamming, corrected rule",
)


def score_table(title: str, cells: Sequence[Cell], compared: Mapping) -> Table:
    """A table in the study's form: training beside testing, one row per setting.

    Args:
        title: the backbone's name.
        cells: those of one backbone and recipe; unfinished ones show how far they are.
        compared: of `compare_cells`, for the intervals.
    """
    rows = [_scores(cell, compared) for cell in cells]
    done = [cell for cell in cells if cell.results]
    rows += [_never(done[0].results)] if done else []
    head = SCORES
    if done and all(_calls(cell)["hamming_corrected"] is None for cell in done):
        head, rows = head[:-1], [row[:-1] for row in rows]  # no loss's distortion is known
    return Table(title, head, rows, baseline=bool(done))


def _scores(cell: Cell, compared: Mapping) -> tuple[str, ...]:
    if not cell.results:
        return (cell.setting, cell.word, *([words.NONE] * (len(SCORES) - 2)))
    training = cell.results["training"]
    intervals, tested = (compared["cells"][cell.name][kind] for kind in ("out_of_fold", "test"))
    calls = _calls(cell)
    return (
        cell.setting,
        words.mean_sd(training["binary_accuracy"], 2, 100),
        words.mean_sd(training["mae"]),
        words.interval(tested["average_precision"]) if tested else words.NONE,
        words.interval(tested["auroc"]) if tested else words.NONE,
        words.interval(intervals["average_precision"]),
        words.interval(intervals["auroc"]),
        words.number(calls["hamming_prevalence"]),
        words.number(calls["hamming_corrected"]),
    )


def _calls(cell: Cell) -> Mapping:
    """The part of its results whose decisions are counted."""
    return cell.results["test"] or cell.results["out_of_fold"]


def _never(results: Mapping) -> tuple[str, ...]:
    own, test = results["out_of_fold"], results["test"]
    calls = test or own
    return (
        "Finding nothing, ranking at random",
        words.number(100 * own["all_negative_accuracy"], 2),
        words.number(own["prevalence"]),
        words.number(test["random_average_precision"]) if test else words.NONE,
        "0.500" if test else words.NONE,
        words.number(own["random_average_precision"]),
        "0.500",
        words.number(calls["prevalence"]),
        words.number(calls["prevalence"]),
    )


def difference_table(title: str, family: Mapping, names: Sequence[str], note: str = "") -> Table:
    """Paired differences with their intervals, corrected together.

    Args:
        title: what is compared.
        family: of `compare_cells`.
        names: of the rows.
        note: how to read it.
    """
    head = ("First minus second", "AUROC", "p, Holm", "Reading", "Average precision", "p, Holm")
    rows = [
        (
            name,
            words.interval(pair["auroc"], signed=True),
            words.p_value(pair["auroc"]["p_holm"]),
            words.reading(pair["auroc"]),
            words.interval(pair["average_precision"], signed=True),
            words.p_value(pair["average_precision"]["p_holm"]),
        )
        for name, pair in zip(names, family["pairs"], strict=True)
    ]
    return Table(title, head, rows, note)


def published_table(cells: Sequence[Cell]) -> Table | None:
    """The study's own figures beside ours, for cells that it also has; None if there are none."""
    found = [(cell, row) for cell in cells if cell.results and (row := published_of(cell))]
    if not found:
        return None
    head = (
        "Cell",
        "Training accuracy, %",
        "study",
        "Training MAE",
        "study",
        "Test AP",
        "study",
        "Test AUC",
        "study",
    )
    note = (
        "The study's data are private and come from another hospital, with other findings and "
        "another prevalence: its figures are for orientation and aren't targets. It doesn't say "
        "which recipe its tables show."
    )
    if any(row.doubtful for _, row in found):
        note += (
            " * The same for both backbones, to the last digit: probably a copying error in the "
            "source."
        )
    return Table("The study's figures beside", head, [_beside(*pair) for pair in found], note)


def published_of(cell: Cell) -> Published | None:
    """The study's row for a cell."""
    return published(cell.backbone, cell.method, cell.links, cell.weights)


def _beside(cell: Cell, row: Published) -> tuple[str, ...]:
    training, test = cell.results["training"], cell.results["test"]
    mark = "*" if row.doubtful else ""
    return (
        f"{cell.backbone}, {cell.setting} ({cell.recipe})",
        words.mean_sd(training["binary_accuracy"], 2, 100),
        f"{row.accuracy:.2f} ± {row.accuracy_spread:.2f}{mark}",
        words.mean_sd(training["mae"], 2),
        f"{row.mae:.2f} ± {row.mae_spread:.2f}{mark}",
        words.number(test["average_precision"]) if test else words.NONE,
        f"{row.average_precision:.3f}",
        words.number(test["auroc"]) if test else words.NONE,
        f"{row.auroc:.3f}",
    )


def cost_tables(cells: Sequence[Cell]) -> list[Table]:
    """Seconds of each cell, and of each source stage with the cells that share it."""
    done = [cell for cell in cells if cell.results]
    rows = [
        (
            cell.name,
            words.took(cell.seconds),
            words.took(sum(cell.results["fold_seconds"])),
            str(len(cell.results["stages"])),
        )
        for cell in done
    ]
    head = ("Cell", "In all", "Folds", "Source stages")
    note = "In all: the cell's whole process, with the source stages that it was first to train."
    tables = [Table("Cells", head, rows, note)] if rows else []
    stages: dict[str, float | None] = {}
    users: dict[str, int] = {}
    for cell in done:
        for stage, seconds in cell.results["stages"].items():
            stages[stage] = seconds
            users[stage] = users.get(stage, 0) + 1
    if stages:
        rows = [(s, words.took(t), str(users[s])) for s, t in stages.items()]
        tables.append(Table("Source stages", ("Stage", "Time", "Cells that use it"), rows))
    return tables


def unfinished_table(cells: Sequence[Cell]) -> Table | None:
    """What isn't done yet, and why."""
    rows = [(cell.name, cell.word, cell.reason) for cell in cells if cell.word != "done"]
    return Table("Not done", ("Cell", "State", "Why"), rows) if rows else None
