"""How a program with much to prepare is measured in turns: `Stand.worker` asks, it answers."""

import json
import sys
from collections.abc import Callable


def answers(measure: Callable[[], object]) -> None:
    """Say that all is ready, then call `measure` for each line of the input and print what it
    returns, as JSON.
    """
    print("= null", flush=True)
    for _ in sys.stdin:
        print("=", json.dumps(measure()), flush=True)
