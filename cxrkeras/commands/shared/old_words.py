"""Options that have another name today: the old one is read for one release, with a warning."""

from collections.abc import Sequence

import click

_IMAGE_SIZE = {"--size": "--image-size"}
_LABEL_SET = {"--labels": "--label-set"}
OLD: dict[tuple[str, ...], dict[str, str]] = {
    ("cv",): _LABEL_SET,
    ("pretrain",): _LABEL_SET,
    ("prep",): _IMAGE_SIZE,
    ("prep", "chexpert"): _LABEL_SET,
    ("summary",): {"--labels": "--outputs"},
    ("explain",): {"--method": "--map"},
    ("export",): {"--license": "--licence"},
    ("serve",): {"--config": "--out"},
}
"""For each verb: {old spelling: today's}."""


def in_todays_words(words: Sequence[str]) -> list[str]:
    """A command line with today's names of options; each old one is named on standard error.

    Args:
        words: the verb, its options and arguments.
    """
    old = {}
    for verb, names in OLD.items():
        if tuple(words[: len(verb)]) == verb:
            old |= names
    end = words.index("--") if "--" in words else len(words)  # what follows are no options
    return [_today(word, old) for word in words[:end]] + list(words[end:])


def _today(word: str, old: dict[str, str]) -> str:
    name, equals, value = word.partition("=")
    if name not in old:
        return word
    click.echo(f"Warning: {name} is now {old[name]}.", err=True)
    return f"{old[name]}{equals}{value}"
