"""Which tensor of a file is which variable of a trunk: what every naming has to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Head:
    """The keys of a linear classifier on the pooled features."""

    kernel: str
    bias: str


@dataclass(frozen=True)
class Names:
    """A naming, applied to one file.

    Args:
        said: the naming in words.
        keys: for a (layer, variable) of our trunk its key in the file, present or not.
        to_keras: an array of the file -> the same in Keras's order of axes; takes the variable too.
        from_keras: a shape of ours -> the shape that the file should have; takes the variable too.
        first: the layer of the first convolution.
        epsilon: of the file's batch-norms; None where it is our layers' own.
        head: the classifier, if there is one.
        beside: keys that belong to the file's format or model without being weights of it.
        trunk: which keys belong to the trunk, so that one left over there means another trunk.
        notes: what the user should know.
    """

    said: str
    keys: Mapping[tuple[str, str], str]
    to_keras: Callable[[np.ndarray, str], np.ndarray]
    from_keras: Callable[[tuple[int, ...], str], tuple[int, ...]]
    first: str
    epsilon: float | None = None
    head: Head | None = None
    beside: frozenset[str] = frozenset()
    trunk: Callable[[str], bool] = field(default=lambda key: False)
    notes: tuple[str, ...] = ()
