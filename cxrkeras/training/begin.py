"""From a user's choices to a cross-validated run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxrkeras.data.preparation import files_of
from cxrkeras.registry import BACKBONES, RECIPES
from cxrkeras.runs.builtin_data import with_builtin_data
from cxrkeras.runs.description import make_experiment, read_choices
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.presets import everyday, everyday_line, with_preset
from cxrkeras.runs.spellings import renewed
from cxrkeras.runs.starts import is_begun
from cxrkeras.training.plan import resolve
from cxrkeras.training.stages.cache import cache_folder
from data_prep.errors import UserError, WrongUse
from data_prep.executors import Executor
from data_prep.executors.local import Part as Local
from data_prep.say import say

_HERE = Local()


@dataclass(frozen=True)
class Run:
    """A finished run. It may be given wherever a path to its folder is taken.

    Attributes:
        folder: the run's folder.
        experiment: its complete description.
        metrics: the contents of its `metrics.json`.
    """

    folder: Path
    experiment: Experiment = field(repr=False)
    metrics: dict = field(repr=False)

    def __fspath__(self) -> str:
        return str(self.folder)


def run_choices(
    given: Mapping[str, Any],
    out: Path | None = None,
    config: Path | None = None,
    executor: Executor = _HERE,
    preset: str | None = None,
) -> Run:
    """Cross-validate what is described, or resume an unfinished run.

    Args:
        given: choices by the names of `Experiment`'s fields. Without `data` the built-in phantoms
            are used, at a small size.
        out: the run's folder; `runs/NAME` if None.
        config: a TOML file of choices, which those of `given` override.
        executor: where the folds are fitted, which changes no number.
        preset: of everyday use, whose choices lie below all others.

    Returns:
        The finished run.

    Raises:
        UserError: the description, data or sources can't be used, or the folder holds another run.
            Errors in the description are raised before anything is written.
    """
    choices = {**(read_choices(config) if config else {}), **given}
    if "folds_file" in choices and not given.keys().isdisjoint(("folds", "test_fraction")):
        raise WrongUse(
            "--folds-file determines the number of folds and the test set: leave --folds and "
            "--test-fraction out, or --folds-file."
        )
    if "preset" in choices and "recipe" not in choices:
        raise UserError(
            "preset only notes by which name a run's choices were given, and chooses nothing. "
            f"Received: preset {choices['preset']!r} without a recipe. Give it as recipe, or as "
            "--preset beside the file."
        )
    choices = with_preset(renewed(choices))
    if preset is not None:
        choices = _over(preset, choices)
    try:
        _check(make_experiment(choices))
    except UserError as error:
        raise _of_preset(error, preset, given, choices) from error
    experiment = make_experiment(with_builtin_data(choices, _phantoms)).located()
    folder = out or Path("runs") / _name(experiment)
    is_begun(folder, experiment)  # refuses a wrong folder, before what takes seconds to import
    from cxrkeras.training.crossval import cross_validate

    return Run(folder, experiment, cross_validate(experiment, folder, executor))


def _over(preset: str, choices: dict[str, Any]) -> dict[str, Any]:
    """The choices over those of an everyday preset; what it sets is said."""
    theirs = everyday(preset)
    if "folds_file" in choices:  # decides these
        theirs = {key: theirs[key] for key in theirs if key not in ("folds", "test_fraction")}
    left = {key: value for key, value in theirs.items() if key not in choices}
    say(f"--preset {preset}: {everyday_line(preset)}")
    said = ", ".join(f"{key.replace('_', '-')} {_in_words(left[key])}" for key in left)
    say(f"It sets {said or 'nothing that you do not'}. Any other option goes over it.")
    return {"preset": preset, **theirs, **choices}


def _of_preset(
    error: UserError, preset: str | None, given: Mapping[str, Any], choices: dict[str, Any]
) -> UserError:
    """The error, which says so where it names what the preset chose and nobody gave."""
    theirs = everyday(preset) if preset is not None else {}
    flags = [
        f"--{key.replace('_', '-')}"
        for key, value in theirs.items()
        if key not in given and choices.get(key) == value
    ]
    named = [flag for flag in flags if re.search(rf"{flag}(?![\w-])", str(error))]
    if not named:
        return error
    return type(error)(f"{error} Not you but --preset {preset} gave {', '.join(named)}.")


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _check(experiment: Experiment) -> None:
    if experiment.data or experiment.source or experiment.method != "cotrain":
        resolve(experiment)  # otherwise the built-in data bring cotrain's sources
    if experiment.data:
        files_of(Path(experiment.data))


def _phantoms() -> tuple[Path, Path, Path]:
    from data_prep.phantom.builtin import builtin_datasets

    return builtin_datasets(
        cache_folder() / "phantoms-3", patients=120, source_patients=240, size=256
    )


def _name(experiment: Experiment) -> str:
    if "backbone" in RECIPES.make(experiment.recipe).unused:
        return f"{RECIPES.name_of(experiment.recipe)}-{experiment.digest}"
    trunks = "-".join(BACKBONES.name_of(backbone) for backbone in experiment.backbone)
    return f"{trunks}-{experiment.method}-{experiment.digest}"
