"""Options of every command that reads films."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from cxrkeras.commands.shared.numbers import Finite
from data_prep.films.admission import DEFAULT

_ADMISSION = {
    "any_body_part": {
        "is_flag": True,
        "help": "Take DICOM files whose header names another body part.",
    },
    "any_modality": {
        "is_flag": True,
        "help": "Take DICOM files whose header names another modality than radiography.",
    },
    "min_side": {
        "type": click.IntRange(1),
        "metavar": "PIXELS",
        "help": "Refuse a picture one of whose sides is shorter.",
    },
    "max_pixels": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "Refuse a picture of more pixels, and a file of more than 8 bytes for each.",
    },
    "max_memory": {
        "type": Finite(0.25),
        "metavar": "GB",
        "help": "Refuse a file that takes more to read (Linux).",
    },
    "max_seconds": {
        "type": click.IntRange(1),
        "metavar": "S",
        "help": "Refuse a file that takes longer to read, in a processor's time.",
    },
}


def admission(command: Callable) -> Callable:
    """The options of what is taken for a film, handed on as one `admission`."""

    @wraps(command)
    def together(**options):
        from data_prep.films.admission import Admission

        chosen = {name: options.pop(name) for name in _ADMISSION}
        return command(admission=Admission(**chosen), **options)

    for name, declared in reversed(_ADMISSION.items()):
        shown = {} if declared.get("is_flag") else {"show_default": True}
        option = f"--{name.replace('_', '-')}"
        together = click.option(option, default=getattr(DEFAULT, name), **shown, **declared)(
            together
        )
    return together


table_of_inputs = click.option(
    "--table",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For a model that takes age, sex or view beside the image: a table with these, and the "
    "films' names in a column image or file. It goes over DICOM headers, from which they are read "
    "without it.",
)
decoding_workers = click.option(
    "--workers",
    type=click.IntRange(0),
    help="Decoding processes; 0: none, and no limits of memory and time. [default: one per core]",
)
