"""Unknown verbs."""

from collections.abc import Collection
from difflib import get_close_matches

import click


def check_verb(ctx: click.Context, word: str, verbs: Collection[str], listing: str) -> None:
    """Fail on an unknown verb, naming the nearest; options pass.

    Args:
        ctx: of the group of verbs.
        word: what the user wrote.
        verbs: the known verbs.
        listing: the command that lists them.

    Raises:
        click.UsageError: the word isn't a verb.
    """
    if word in verbs or word.startswith("-"):
        return
    near = get_close_matches(word, verbs, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"`{listing}` lists the commands."
    ctx.fail(f"No such command {word!r}. {hint}")
