"""What a file that others wrote holds: tensors by the names that its writer gave them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class State:
    """What a file holds.

    Args:
        kind: who named the tensors. `torch`: `MODULE.weight`; `keras`: `LAYER/kernel`.
        tensors: by those names, as they lie in the file.
        layers: with `keras`, the names of all layers in order, also of those without weights.
        activation: with `keras`, of the last dense layer, where the file says it.
    """

    kind: Literal["torch", "keras"]
    tensors: dict[str, np.ndarray]
    layers: tuple[str, ...] = ()
    activation: str | None = None
