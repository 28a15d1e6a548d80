"""A verb that there isn't."""

from collections.abc import Collection
from difflib import get_close_matches

import click


def check_verb(ctx: click.Context, word: str, verbs: Collection[str], listing: str) -> None:
    """Fail, with the nearest verb, for a word that is none; an option's word passes.

    Args:
        ctx: of the group of verbs.
        word: what the user wrote.
        verbs: those that there are.
        listing: the command that lists them.

    Raises:
        click.UsageError: the word is no verb.
    """
    if word in verbs or word.startswith("-"):
        return
    near = get_close_matches(word, verbs, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"`{listing}` lists the commands."
    ctx.fail(f"No such command {word!r}. {hint}")
