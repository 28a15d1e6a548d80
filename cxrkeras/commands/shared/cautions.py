"""Options of a prediction that say when not to lean on it."""

from collections.abc import Callable

import click

_DEFAULT = 0.99  # as `models.familiar.films.LIMIT`, which a test compares: help imports no NumPy


def cautions(command: Callable) -> Callable:
    """Add `--flag-unlike` (`limit`) and `--abstain`."""
    for option in (_ABSTAIN, _LIMIT):
        command = option(command)
    return command


_LIMIT = click.option(
    "--flag-unlike",
    "limit",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=_DEFAULT,
    show_default=True,
    metavar="SHARE",
    help="Flag a film as unlike the training films if at least this share of the out-of-fold films "
    "is more like them.",
)
_ABSTAIN = click.option(
    "--abstain",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Withhold each label's decision on about this share of films, those nearest to the "
    "threshold, as found out of fold.",
)
