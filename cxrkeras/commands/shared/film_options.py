"""Options of every command that reads films."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from cxrkeras.commands.shared.helping import section
from cxrkeras.commands.shared.numbers import Finite
from data_prep.films.admission import DEFAULT

_ADMISSION = {
    "any_body_part": {
        "is_flag": True,
        "help": "Accept DICOM files whose header names another body part.",
    },
    "any_modality": {
        "is_flag": True,
        "help": "Accept DICOM files whose header names a modality other than radiography.",
    },
    "min_side": {
        "type": click.IntRange(1),
        "metavar": "PIXELS",
        "help": "Refuse pictures with a shorter side than this.",
    },
    "max_pixels": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "Refuse pictures with more pixels, and files with more than 8 bytes for each of "
        "these.",
    },
    "max_memory": {
        "type": Finite(0.25),
        "metavar": "GB",
        "help": "Refuse files that need more memory to read (Linux).",
    },
    "max_seconds": {
        "type": click.IntRange(1),
        "metavar": "S",
        "help": "Refuse files that take more processor time to read.",
    },
}


def admission(command: Callable) -> Callable:
    """The options of what is accepted as a film, passed on as one `admission`."""

    @wraps(command)
    def together(**options):
        from data_prep.films.admission import Admission

        chosen = {name: options.pop(name) for name in _ADMISSION}
        return command(admission=Admission(**chosen), **options)

    for name, declared in reversed(_ADMISSION.items()):
        shown = {} if declared.get("is_flag") else {"show_default": True}
        option = f"--{name.replace('_', '-')}"
        made = click.option(option, default=getattr(DEFAULT, name), **shown, **declared)
        together = section("Which files are taken for films", made)(together)
    return together


table_of_inputs = click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For a model that takes age, sex or view beside the image, or answers for the films of a "
    "study together: a table (CSV or FILE.xlsx) with these or the study, and the films' names in a "
    "column image or file. It goes over DICOM headers, from which they are read without it.",
)
decoding_workers = section(
    "Where the work is done",
    click.option(
        "--workers",
        type=click.IntRange(0),
        help="Decoding processes; 0 for none, without limits of memory and time. [default: one "
        "per core]",
    ),
)
