"""A run's description: made from choices, read from TOML, written to TOML."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from cxrkeras.data.labels.label_sets import TARGET, parse_label_sets
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.presets import with_preset
from cxrkeras.runs.spellings import renewed
from data_prep.errors import UserError
from data_prep.filenames import is_utf8, printable
from data_prep.files import atomic_write_text


def make_experiment(choices: dict[str, Any]) -> Experiment:
    """Check a description.

    Args:
        choices: values by field name. `recipe` may name a published system, whose choices fill in
            what isn't given; the rest takes its default.

    Raises:
        UserError: naming the option, the rule and the value received.
    """
    try:
        experiment = Experiment(**with_preset(renewed(choices)))
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise UserError(_unknown(str(first["loc"][0]))) from error
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UserError(f"{option}: {first['msg']}. Received: {first['input']!r}.") from error
    _check_named_sources(experiment)
    return experiment


def _check_named_sources(experiment: Experiment) -> None:
    names = {link.name for link in experiment.source_datasets}
    for name in parse_label_sets(experiment.label_set):
        if name != TARGET and name not in names:
            raise UserError(
                f"--label-set {name}=… names a dataset that no --source gives. Given: "
                f"{', '.join(sorted(names)) or 'none'}."
            )


def _unknown(name: str) -> str:
    near = get_close_matches(name, Experiment.model_fields, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`cxrkeras cv --help-all` lists the options."
    return f"A description's keys are the options of `cxrkeras cv`. Received: {name!r}. {hint}"


def read_choices(path: Path) -> dict[str, Any]:
    """Read a TOML file of choices without checking them; `image-size` stands for `image_size`.

    Raises:
        UserError: if the file is missing or isn't valid TOML.
    """
    try:
        choices = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, too many digits or tables
        raise UserError(f"{path} isn't valid TOML: {error}.") from error
    return {name.replace("-", "_"): value for name, value in choices.items()}


def read_experiment(path: Path) -> Experiment:
    """Read a TOML description; errors as in `read_choices` and `make_experiment`."""
    return make_experiment(read_choices(path))


def write_experiment(path: Path, experiment: Experiment) -> None:
    """Write every choice, defaults included; `read_experiment` reads back an equal description.

    Raises:
        UserError: a path isn't valid UTF-8, so TOML can't hold it.
    """
    choices = {key: value for key, value in experiment.model_dump().items() if value is not None}
    text = tomli_w.dumps(choices)
    if not is_utf8(text):
        odd = next(line for line in text.splitlines() if not is_utf8(line))
        raise UserError(
            "A run's description is UTF-8, so the paths in it must be too. Received: "
            f"{printable(odd)}. Rename that folder or file."
        )
    atomic_write_text(path, text)
