"""`--executor`, given alike to every verb whose work may be spread."""

from collections.abc import Callable
from functools import wraps

import click

from cxrkeras.commands.shared.helping import section
from cxrkeras.registry import EXECUTORS
from data_prep.errors import UserError

_RESOURCES = {"cpus": "--cpus-per-task", "gpus": "--gpus-per-task"}


def executing(what: str) -> Callable:
    """The options, passed on as one `executor`.

    Args:
        what: is done there, e.g. `folds are fitted`, for the help.
    """
    options = (
        click.option(
            "--executor",
            default="local",
            show_default=True,
            metavar="local|processes=N|ray[=ADDRESS]",
            help=f"Where {what}: here, in N processes of this machine, or on a Ray cluster (extra "
            "ray). It changes no result; what was begun with one is resumed with any other. "
            "`cxrkeras parts executors` lists all.",
        ),
        click.option(
            "--cpus-per-task",
            "cpus",
            type=click.FloatRange(0, min_open=True),
            help="Cores that Ray reserves for each task. [default: one per thread]",
        ),
        click.option(
            "--gpus-per-task",
            "gpus",
            type=click.FloatRange(0),
            help="GPUs of each task, on Ray also a part of one. [default: 1 on Ray for what "
            "computes models, if there are any]",
        ),
    )

    def decorate(command: Callable) -> Callable:
        @wraps(command)
        def together(*, executor: str, cpus: float | None, gpus: float | None, **given):
            return command(executor=executor_of(executor, cpus=cpus, gpus=gpus), **given)

        for option in reversed(options):
            together = section("Where the work is done", option)(together)
        return together

    return decorate


def executor_of(text: str, **resources: float | None):
    """The executor that `NAME`, `NAME=VALUE` or `NAME:key=value,…` means, with resources of tasks.

    Raises:
        UserError: there is no such executor, or it hasn't these resources to give.
    """
    name, equals, value = text.partition("=")
    part = EXECUTORS.make(f"{name}:{value}" if equals and ":" not in name else text)
    chosen = {key: amount for key, amount in resources.items() if amount is not None}
    for key in chosen:
        if key not in type(part).model_fields:
            raise UserError(
                f"{_RESOURCES[key]} isn't for --executor {part.part_name()}. Leave it out, or give "
                "--executor ray."
            )
    return EXECUTORS.of(type(part), {**part.changed(), **chosen})
