"""`--operating-point`, read alike by every command that has it."""

from typing import TYPE_CHECKING

import click

from data_prep.errors import UserError

if TYPE_CHECKING:
    from cxrkeras.evaluation.operating import Rule


def rule_of(text: str) -> "Rule":
    """The rule that the option's text means.

    Raises:
        click.UsageError: for a name that is no rule, or a share outside (0, 1].
    """
    from cxrkeras.evaluation.operating import parse_rule

    try:
        return parse_rule(text)
    except UserError as error:
        raise click.UsageError(f"--operating-point: {error}") from error
