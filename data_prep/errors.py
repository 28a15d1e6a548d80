"""The ways in which input can be wrong: for the whole command, or for one of many files."""


class UserError(Exception):
    """A mistake that the user can correct.

    The message is one line: the rule, the value received, the next thing to do. The command line
    prints it without a traceback and exits with 1. It never holds patient data.
    """


class WrongUse(UserError):
    """A choice that is wrong whatever the files hold. The command line exits with 2."""


class RejectedFile(Exception):
    """One file that can't be used. The message is the reason, one line, without patient data.

    A preparation lists it in `rejected.csv` and goes on.
    """
