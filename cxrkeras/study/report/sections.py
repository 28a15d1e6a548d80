"""A study's results in order: three perspectives and two references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from cxrkeras.registry import RECIPES, in_words
from cxrkeras.study.report import tables, words
from cxrkeras.study.report.differences import best_of
from cxrkeras.study.report.plots import Mark, dot_figure
from cxrkeras.study.report.results import Cell
from cxrkeras.study.report.tables import Table


@dataclass(frozen=True)
class Part:
    """A perspective on one recipe.

    Args:
        title: title of the recipe; "" if there is only one part.
        sentence: the conclusion.
        figures: (name, figure).
        tables: in order.
    """

    title: str
    sentence: str
    figures: list[tuple[str, Markup]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A question and its answers.

    Args:
        key: for links.
        title: the heading.
        text: the question, and how to read the answers.
        parts: by recipe.
    """

    key: str
    title: str
    text: str
    parts: list[Part]


def sections(cells: Sequence[Cell], compared: Mapping | None) -> list[Section]:
    """The sections that have content; none before a cell is done."""
    if compared is None:
        return []
    view = _View(cells, compared)
    made = [
        view.section("backbone", "Backbone model selection", _BACKBONE, view.backbone),
        view.section("source", "Source data selection", _SOURCE, view.source),
        view.section("combination", "Combination method selection", _COMBINATION, view.combined),
        view.section("imagenet", f"Against {view.reference}", _IMAGENET, view.imagenet),
        Section("best", "Against the best", _BEST, view.best()),
    ]
    return [section for section in made if section.parts]


_BACKBONE = (
    "Each setting with each backbone. Large dots: all out-of-fold predictions together, with the "
    "bootstrap interval; small dots: the folds."
)
_SOURCE = "Settings that use one source, in the form of the study's tables."
_COMBINATION = (
    "Settings that join sources: one after the other (regular), trunks side by side (mixed), or "
    "trained together (co-trained). Each is compared with its parts alone, and with the other "
    "methods that join the same sources."
)
_IMAGENET = "Each setting minus the one that starts from weights alone, with the same backbone."
_BEST = (
    "Each cell minus the one with the highest out-of-fold macro AUROC. That one was chosen for "
    "being the highest, so its lead over the others is exaggerated; those that can't be "
    "distinguished from it are as good a choice."
)


class _View:
    """The cells and comparisons, asked for one perspective at a time."""

    def __init__(self, cells: Sequence[Cell], compared: Mapping):
        self.cells = cells
        self.done = {cell.name: cell for cell in cells if cell.results}
        self.compared = compared
        self.recipes = list(dict.fromkeys(cell.recipe for cell in cells))
        self.backbones = list(dict.fromkeys(cell.backbone for cell in cells))
        alone = [cell.setting for cell in cells if cell.is_weights_alone]
        self.reference = f"{alone[0]} alone" if alone else "weights alone"
        self.images = next(iter(self.done.values())).results["images"]

    def section(self, key: str, title: str, text: str, part: Callable[[str], Part | None]):
        """A section with a part for each recipe that has results."""
        return Section(key, title, text, [p for recipe in self.recipes if (p := part(recipe))])

    def backbone(self, recipe: str) -> Part | None:
        """Figures of all settings, and each setting's backbones against each other."""
        cells = self.of(recipe)
        if not any(cell.results for cell in cells):
            return None
        part = self.part(
            recipe, "backbone", lambda a, b: f"{a.setting}: {a.backbone} − {b.backbone}"
        )
        figures = [(name, self.dots(cells, metric, name)) for metric, name in _AXES.items()]
        shown = [(name, figure) for name, figure in figures if figure]
        return Part(part.title, part.sentence, shown + part.figures, part.tables)

    def source(self, recipe: str) -> Part | None:
        """The study's tables of single sources, and each source against each other."""
        cells = [cell for cell in self.of(recipe) if cell.is_single]
        return self.perspective(recipe, "source", cells)

    def combined(self, recipe: str) -> Part | None:
        """The study's tables of joined sources; parts and methods against each other."""
        cells = [cell for cell in self.of(recipe) if not cell.is_single]
        return self.perspective(recipe, "combination", cells)

    def perspective(self, recipe: str, key: str, cells: Sequence[Cell]) -> Part | None:
        """Score tables by backbone, then the paired differences."""
        if not any(cell.results for cell in cells):
            return None
        part = self.part(recipe, key, lambda a, b: f"{a.backbone}: {a.setting} − {b.setting}")
        scores = [
            tables.score_table(backbone, alike, self.compared)
            for backbone in self.backbones
            if (alike := [cell for cell in cells if cell.backbone == backbone])
        ]
        shown = [(_AXES["auroc"], self.dots(cells, "auroc", _AXES["auroc"]))]
        figures = [pair for pair in shown if pair[1]] + part.figures
        return Part(part.title, part.sentence, figures, scores + part.tables)

    def imagenet(self, recipe: str) -> Part | None:
        """Each setting minus weights alone."""
        part = self.part(recipe, "imagenet", lambda a, b: f"{a.backbone}: {a.setting}")
        return part if part.tables else None

    def best(self) -> list[Part]:
        """Each cell minus the best of all."""
        best = best_of(list(self.done.values()))
        if best is None:
            return []
        part = self.part("", "best", lambda a, b: f"{a.recipe} {a.backbone}: {a.setting}")
        score = words.number(best.results["out_of_fold"]["auroc"])
        said = f"Highest: {_full(best)}, {score}. {part.sentence}".strip()
        return [Part("", said, part.figures, part.tables)]

    def part(self, recipe: str, key: str, name: Callable[[Cell, Cell], str]) -> Part:
        """The paired differences of one family: sentence, figure and table."""
        title = in_words(RECIPES, recipe) if recipe else ""
        family = self.family(key, recipe)
        if family is None:
            return Part(title, "")
        called = [name(self.done[p["first"]], self.done[p["second"]]) for p in family["pairs"]]
        names = {cell: _short(self.done[cell], key) for cell in self.done}
        table = tables.difference_table(_DIFFERENCES, family, called, self.note(family))
        rows = {row: [_difference(p)] for row, p in zip(called, family["pairs"], strict=True)}
        figure = dot_figure(
            rows, "difference in macro AUROC, out of fold", "Differences around zero", chance=0
        )
        figures = [("Difference in macro AUROC", figure)] if figure else []
        return Part(title, words.sentence(family, names, self.images), figures, [table])

    def note(self, family: Mapping) -> str:
        """How the differences were calculated."""
        return (
            f"Out of fold. Intervals: {self.compared['level']:.0%}, each on its own, by a paired "
            f"bootstrap of {self.compared['drawn']}, {self.compared['resamples']:,} resamples. p: "
            f"corrected "
            f"by Holm over the {words.plural(len(family['pairs']), 'comparison')} of this table, "
            "for each score."
        )

    def family(self, key: str, recipe: str) -> Mapping | None:
        """The comparisons of one question."""
        found = (f for f in self.compared["families"] if (f["key"], f["recipe"]) == (key, recipe))
        return next(found, None)

    def of(self, recipe: str) -> list[Cell]:
        """The cells of one recipe."""
        return [cell for cell in self.cells if cell.recipe == recipe]

    def dots(self, cells: Sequence[Cell], metric: str, name: str) -> Markup | None:
        """One score of some cells, with a row for each setting and a colour for each backbone."""
        rows: dict[str, list[Mark]] = {cell.setting: [] for cell in cells}
        chance = None
        for cell in cells:
            if cell.results:
                rows[cell.setting].append(self.mark(cell, metric))
                chance = _chance(cell, metric)
        return dot_figure(rows, name, f"{name} of each setting and backbone", chance=chance)

    def mark(self, cell: Cell, metric: str) -> Mark:
        """One cell's score with its interval, if there is one, and its folds."""
        own = cell.results["out_of_fold"]
        interval = self.compared["cells"][cell.name]["out_of_fold"].get(metric, {})
        return Mark(
            own[metric],
            interval.get("low"),
            interval.get("high"),
            [value for value in own["per_fold"][metric] if value is not None],
            self.backbones.index(cell.backbone),
            f"{_full(cell)}: {words.number(own[metric])}",
        )


_AXES = {
    "auroc": "Macro AUROC, out of fold",
    "average_precision": "Macro average precision, out of fold",
    "hamming_prevalence": "Hamming loss, prevalence rule, out of fold",
    "hamming_corrected": "Hamming loss, corrected rule, out of fold",
}
_DIFFERENCES = "Paired differences"


def _chance(cell: Cell, metric: str) -> float | None:
    own = cell.results["out_of_fold"]
    if metric == "auroc":
        return 0.5
    return own["random_average_precision" if metric == "average_precision" else "prevalence"]


def _difference(pair: Mapping) -> Mark:
    part = pair["auroc"]
    group = 0 if words.reading(part) in ("higher", "lower") else 2
    return Mark(part["value"], part["low"], part["high"], group=group, title=words.interval(part))


def _full(cell: Cell) -> str:
    return f"{cell.setting} with {cell.backbone} ({cell.recipe})"


def _short(cell: Cell, key: str) -> str:
    return _full(cell) if key == "best" else f"{cell.setting} with {cell.backbone}"
