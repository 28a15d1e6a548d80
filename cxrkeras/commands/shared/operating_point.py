"""`--operating-point`, given and read alike by every command that asks a model."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cxrkeras.registry import RULES
from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.evaluation.rules import Rule


def rules_named() -> str:
    """The rules that there are, for a help text."""
    return (
        f"{', '.join(RULES.names())}; sensitivity and specificity with a share, as in "
        "sensitivity=0.95. `cxrkeras parts rules` says what each is."
    )


def operating_point(text: str) -> Callable:
    """The option as `rule`, a text that `rule_of` reads; `text` is its help."""
    return click.option(
        "--operating-point",
        "rule",
        metavar="RULE",
        show_default="corrected; prevalence where the loss's distortion isn't known",
        help=text,
    )


def rule_of(text: str | None) -> "Rule | None":
    """The rule that the option's text means; None where it isn't given: the model's own default.

    Raises:
        click.UsageError: for a name that is no rule, or an option that is out of bounds.
    """
    if text is None:
        return None
    from cxrkeras.evaluation.rules import parse_rule

    try:
        return parse_rule(text)
    except UserError as error:
        raise click.UsageError(str(error)) from error
