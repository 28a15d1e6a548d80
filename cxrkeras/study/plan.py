"""A study's cells: each a setting, a backbone and a recipe, checked and put in order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrkeras.data.labels.label_sets import TARGET, parse_label_sets
from cxrkeras.runs.description import make_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.sources import WEIGHT_FILES, Dataset, Link, Weights
from cxrkeras.runs.transfer import TrunkPlan
from cxrkeras.study.file import SHARED, Setting, StudyFile, slug
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError

PreStage = tuple
"""What identifies a source stage here: backbone, start, and the datasets of it and those before."""


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        name: of its run folder: `finetune-resnet50-imagenet-nih`.
        setting: the row of the study's tables.
        backbone: the trunk, the same for each trunk of a mixed model.
        recipe: as the grid spells it.
        links: what the setting's names stand for: per `--source`, its links' names.
        experiment: everything resolved.
        plan: its trunks.
    """

    name: str
    setting: str
    backbone: str
    recipe: str
    links: tuple[tuple[str, ...], ...]
    experiment: Experiment
    plan: tuple[TrunkPlan, ...]

    @property
    def stages(self) -> list[PreStage]:
        """The source stages that it needs, each after those that it starts from."""
        return list(
            dict.fromkeys(
                (trunk.backbone, trunk.start, trunk.stages[: n + 1])
                for trunk in self.plan
                for n in range(len(trunk.stages))
            )
        )

    def absent(self) -> str | None:
        """What of its sources isn't there, as a sentence; None where all is at hand."""
        for trunk in self.plan:
            links = [*filter(None, [trunk.start]), *(link for s in trunk.stages for link in s)]
            for link in links:
                if reason := _absent(link):
                    return reason
        return None


def _absent(link: Link) -> str | None:
    if isinstance(link, Dataset):
        there = (link.folder / "dataset.json").is_file()
        return None if there else f"No prepared dataset in {link.folder} (source {link.name})."
    if link == Weights("imagenet") or Path(link.where).is_file():
        return None
    return f"No weights file {link.where}."


def plan_cells(study: StudyFile, folds_file: Path) -> list[Cell]:
    """All cells of a study, in the order of its file.

    Args:
        study: as read.
        folds_file: the folds that all cells share; it need not exist yet.

    Raises:
        UserError: naming the cell that can't be, whichever comes first; nothing is trained by then.
    """
    return [
        _cell(study, setting, backbone, recipe, folds_file)
        for recipe in study.grid.recipe
        for backbone in study.grid.backbone
        for setting in study.setting
    ]


def _cell(study: StudyFile, setting: Setting, backbone: str, recipe: str, folds_file: Path) -> Cell:
    name = "-".join(
        [*(re.sub(r"[^\w.]+", "-", part) for part in (recipe, backbone)), slug(setting.name)]
    )
    links = tuple(tuple(w.strip() for w in text.split(",")) for text in setting.source)
    try:
        source = tuple(
            ",".join(_resolve(word, study.source, backbone) for word in chain) for chain in links
        )
        choices = _choices(study, setting, backbone, recipe) | {
            "source": source,
            "folds_file": str(folds_file),
        }
        experiment = make_experiment(choices).located()
        plan = resolve(experiment).trunks
    except UserError as error:
        raise UserError(f"Cell {name}: {error}") from None
    return Cell(name, setting.name, backbone, recipe, links, experiment, plan)


def _choices(study: StudyFile, setting: Setting, backbone: str, recipe: str) -> dict[str, Any]:
    choices = dict(study.run)
    for key in (backbone, setting.name, recipe):
        choices |= study.override.get(key, {})
    # A stage is shared by both recipes only if an override of `epochs` leaves it alone.
    epochs = study.run.get("epochs", Experiment.model_fields["epochs"].default)
    choices.setdefault("source_epochs", epochs)
    named = {word.strip() for text in setting.source for word in text.split(",")}
    sets = {"label_set": _label_sets(study, named)} if "label_set" in choices else {}
    return choices | sets | {"method": setting.method, "backbone": (backbone,), "recipe": recipe}


def _label_sets(study: StudyFile, named: set[str]) -> tuple[str, ...]:
    """The sets of labels of the target and of the sources that a cell has."""
    sets = parse_label_sets(_words(study.run.get("label_set", ())))
    if unknown := set(sets) - {TARGET} - set(study.source):
        raise UserError(
            f"--label-set {min(unknown)}=… names no source of the study. "
            f"There: {', '.join(study.source) or 'none'}."
        )
    kept = {name: chosen for name, chosen in sets.items() if name == TARGET or name in named}
    return tuple(f"{name}={chosen}" if name else chosen for name, chosen in kept.items())


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def shared_experiment(study: StudyFile) -> Experiment:
    """What all cells share of what decides which images are scored; no sources.

    Raises:
        UserError: for values that can't be.
    """
    choices = {key: study.run[key] for key in SHARED | {"seed"} if key in study.run}
    if "label_set" in choices:
        choices["label_set"] = _label_sets(study, set())
    return make_experiment(choices).located()


def _resolve(name: str, sources: dict[str, str | dict[str, str]], backbone: str) -> str:
    if name not in sources:
        known = ", ".join(sources) or "none"
        raise UserError(
            f"a setting's source is a name of [source]. Received: {name!r}; known: {known}."
        )
    place = sources[name]
    if isinstance(place, dict):
        if backbone not in place:
            raise UserError(
                f"[source] {name} lies elsewhere for each backbone, and has no line for "
                f"{backbone!r}. Add it."
            )
        place = place[backbone]
    return place if place == "imagenet" or place.endswith(WEIGHT_FILES) else f"{name}={place}"


def in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The cells as they are best run: fewest stages left to train first, of those the most shared.

    So first results come early, and a stage is trained in the simplest cell that needs it.
    """
    users: dict[PreStage, int] = {}
    for cell in cells:
        for stage in cell.stages:
            users[stage] = users.get(stage, 0) + 1
    left, done, ordered = list(cells), set(), []
    while left:
        cell = min(left, key=lambda c: _burden(c, done, users))  # the first in the file of equals
        left.remove(cell)
        done.update(cell.stages)
        ordered.append(cell)
    return ordered


def _burden(cell: Cell, done: set[PreStage], users: dict[PreStage, int]) -> tuple[int, int]:
    missing = [stage for stage in cell.stages if stage not in done]
    return len(missing), -sum(users[stage] for stage in missing)
