"""A study's cells: a setting, a backbone and a recipe each, checked and put in order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrkeras.data.inputs import check_inputs
from cxrkeras.data.labels.label_sets import TARGET, parse_label_sets
from cxrkeras.runs.description import make_experiment
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.presets import with_preset
from cxrkeras.runs.sources import WEIGHT_FILES, Dataset, Link, Weights
from cxrkeras.runs.transfer import TrunkPlan
from cxrkeras.study.file import SHARED, Setting, StudyFile, slug
from cxrkeras.training.plan import resolve
from data_prep.errors import UserError

PreStage = tuple
"""What identifies a source stage here: backbone, start, and the datasets up to this stage."""


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        name: name name of its run folder: `finetune-resnet50-imagenet-nih`.
        setting: its row in the study's tables.
        backbone: the backbone, the same for each trunk of a mixed model.
        recipe: as the grid spells it.
        links: names of the links, per `--source`.
        experiment: the complete description.
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
        """The source stages that it needs, each after those from which it starts."""
        return list(
            dict.fromkeys(
                (trunk.backbone, trunk.start, trunk.stages[: n + 1])
                for trunk in self.plan
                for n in range(len(trunk.stages))
            )
        )

    def absent(self) -> str | None:
        """Which of its sources is missing, as a sentence; None if all are there."""
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
    """Plan all cells of a study, in the order of its file.

    Args:
        study: the study, as read from its file.
        folds_file: the folds that all cells share; it need not exist yet.

    Raises:
        UserError: naming the first cell that is impossible; nothing has been trained by then.
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
    preset = with_preset({"recipe": recipe})
    if shared := sorted(preset.keys() & SHARED - study.run.keys()):
        name = shared[0]
        raise UserError(
            f"--recipe {recipe} wants {name} = {preset[name]!r}. All cells of a study are scored "
            "alike, so [run] must say it for all. Add it there, or another value."
        )
    choices = dict(study.run)
    for key in (backbone, setting.name, recipe):
        choices |= study.override.get(key, {})
    # Recipes share a stage only if an override of `epochs` doesn't affect it.
    default = preset.get("epochs", Experiment.model_fields["epochs"].default)
    epochs = study.run.get("epochs", default)
    choices.setdefault("source_epochs", epochs)
    named = {word.strip() for text in setting.source for word in text.split(",")}
    sets = {"label_set": _label_sets(study, named)} if "label_set" in choices else {}
    return choices | sets | {"method": setting.method, "backbone": (backbone,), "recipe": recipe}


def _label_sets(study: StudyFile, named: set[str]) -> tuple[str, ...]:
    """The label sets of the target and of a cell's sources."""
    sets = parse_label_sets(_words(study.run.get("label_set", ())))
    if unknown := set(sets) - {TARGET} - set(study.source):
        raise UserError(
            f"--label-set {min(unknown)}=… names no source of the study. Its sources: "
            f"{', '.join(study.source) or 'none'}."
        )
    kept = {name: chosen for name, chosen in sets.items() if name == TARGET or name in named}
    return tuple(f"{name}={chosen}" if name else chosen for name, chosen in kept.items())


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def shared_experiment(study: StudyFile) -> Experiment:
    """The part of the description, shared by all cells, that decides which images are scored.

    Raises:
        UserError: a value is impossible.
    """
    choices = {key: study.run[key] for key in SHARED | {"seed"} if key in study.run}
    if "label_set" in choices:
        choices["label_set"] = _label_sets(study, set())
    told = (_words(table.get("inputs", ())) for table in (study.run, *study.override.values()))
    if inputs := {name for words in told for name in check_inputs(words)}:
        choices["inputs"] = tuple(inputs)
    return make_experiment(choices).located()


def _resolve(name: str, sources: dict[str, str | dict[str, str]], backbone: str) -> str:
    if name not in sources:
        known = ", ".join(sources) or "none"
        raise UserError(
            f"a setting's source must be a name in [source]. Received: {name!r}; known: {known}."
        )
    place = sources[name]
    if isinstance(place, dict):
        if backbone not in place:
            raise UserError(
                f"[source] {name} has a place for each backbone, but none for {backbone!r}. Add it."
            )
        place = place[backbone]
    return place if place == "imagenet" or place.endswith(WEIGHT_FILES) else f"{name}={place}"


def in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The cells in the best order: fewest stages left to train first, then those most shared.

    So the first results come early, and a stage is trained in the simplest cell that needs it.
    """
    users: dict[PreStage, int] = {}
    for cell in cells:
        for stage in cell.stages:
            users[stage] = users.get(stage, 0) + 1
    left, done, ordered = list(cells), set(), []
    while left:
        cell = min(left, key=lambda c: _burden(c, done, users))  # of equals, the first in the file
        left.remove(cell)
        done.update(cell.stages)
        ordered.append(cell)
    return ordered


def _burden(cell: Cell, done: set[PreStage], users: dict[PreStage, int]) -> tuple[int, int]:
    missing = [stage for stage in cell.stages if stage not in done]
    return len(missing), -sum(users[stage] for stage in missing)
