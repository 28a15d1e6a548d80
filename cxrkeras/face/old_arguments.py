"""Arguments that have another name today: the old one is read for one release, with a warning."""

import functools
from collections.abc import Callable

from data_prep.errors import UserError
from data_prep.say import say


def formerly(**names: str) -> Callable:
    """Decorate a function that takes an argument under its old name too.

    Args:
        **names: today's name by the old one.

    Raises:
        UserError: by the function, where an argument is given under both names.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **given):
            for old, new in names.items():
                if old in given:
                    if new in given:
                        raise UserError(f"{old}= is now {new}=. Give {new}= alone.")
                    say(f"Warning: {old}= is now {new}=.")
                    given[new] = given.pop(old)
            return function(*args, **given)

        return call

    return decorate
