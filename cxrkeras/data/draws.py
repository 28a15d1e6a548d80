"""Which rows share a batch, without loading them: what `pipeline.labelled_batches` would draw."""

from collections.abc import Sequence

import numpy as np

from cxrkeras.data.pipeline import Part, steps_per_epoch

_BATCHES = 2**15  # a mean over them is noisy by at most half a percent
_ROWS = 2**24


def drawn_rows(parts: Sequence[Part], batch_size: int) -> list[np.ndarray]:
    """Draw batches of as many shuffled epochs as a mean over batches needs; always the same.

    Args:
        parts: those that train together.
        batch_size: rows per part.

    Returns:
        For each part (D, B) int: the positions in the part (0 to len(part.index) - 1) that a batch
        holds, or -1 where a part's last batch isn't full; B is at most `batch_size`.
    """
    steps = steps_per_epoch(parts, batch_size)
    wanted = min(_BATCHES, _ROWS // batch_size)
    epochs = max(1, -(-wanted // steps))
    rng = np.random.default_rng(0)
    return [_drawn(part, steps, batch_size, epochs, len(parts) == 1, rng) for part in parts]


def _drawn(
    part: Part, steps: int, batch_size: int, epochs: int, alone: bool, rng: np.random.Generator
) -> np.ndarray:
    rows = len(part.index) if part.weights is None else part.rows
    size = min(batch_size, rows) if alone else batch_size
    wanted = min(steps * size, rows) if alone else steps * size
    cycles = -(-wanted // rows)
    if part.weights is None:
        order = rng.permuted(np.tile(np.arange(rows), (epochs * cycles, 1)), axis=1)
    else:
        order = np.stack([_weighed(part, rng) for _ in range(epochs * cycles)])
    order = order.reshape(epochs, cycles * rows)[:, :wanted]
    return np.pad(order, ((0, 0), (0, steps * size - wanted)), constant_values=-1).reshape(-1, size)


def _weighed(part: Part, rng: np.random.Generator) -> np.ndarray:
    """The positions in an epoch, each as often as its weight says."""
    order = rng.permutation(len(part.index))
    ends = np.cumsum(part.times[order])
    ends[-1] = part.rows
    times = np.diff(np.floor(ends + rng.random()), prepend=0).astype(int)
    return rng.permutation(np.repeat(order, times))
