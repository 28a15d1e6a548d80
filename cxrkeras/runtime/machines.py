"""Several machines that compute together, as Keras's variables of the environment say."""

import os

from cxrkeras.runtime.backends import JAX, backend
from data_prep.errors import UserError

_MACHINES = "KERAS_DISTRIBUTION"  # as those variables begin


def several_machines() -> bool:
    """Whether several compute together."""
    return _number_of_machines() > 1


def machine() -> int:
    """Which of the machines this is, from 0, if several compute together."""
    return int(os.environ.get(f"{_MACHINES}_PROCESS_ID") or 0) if _number_of_machines() > 1 else 0


def check_agreement(number: int, what: str) -> None:
    """Check that all machines that compute together have the same number; each must ask.

    Raises:
        UserError: they don't, so they don't share their storage.
    """
    if _number_of_machines() == 1:
        return
    import numpy as np
    from jax.experimental.multihost_utils import process_allgather

    found = process_allgather(np.array(number)).ravel()
    if len(np.unique(found)) > 1:
        raise UserError(
            f"The machines find different {what} ({', '.join(map(str, found))}). They must share "
            "one storage: give all the same CXRKERAS_CACHE and --out there."
        )


def _number_of_machines() -> int:
    try:
        return int(os.environ.get(f"{_MACHINES}_NUM_PROCESSES") or 1)
    except ValueError:
        return 1


def checked_machines(allowed: bool) -> bool:
    """Whether several are asked for.

    Raises:
        UserError: they are, where they aren't allowed, or not on JAX.
    """
    several = _number_of_machines() > 1
    if several and not (allowed and backend() == JAX):
        raise UserError(
            f"{_MACHINES}_NUM_PROCESSES asks for several machines. They train one source stage "
            "together, on JAX: KERAS_BACKEND=jax cxrkeras pretrain. Unset it for anything else."
        )
    return several


def join_machines() -> None:
    """Wait for the others, and compute with them from now on."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    import keras

    keras.utils.set_random_seed(0)  # else Keras has the machines draw one
    keras.distribution.initialize()  # by the environment's variables
