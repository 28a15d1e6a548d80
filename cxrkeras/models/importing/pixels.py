"""A first convolution that was trained on pixels in another scaling, or on one channel.

A grey value x in 0..255 reaches channel c of the original as a_c x + b_c, and of our trunk as
s_c x + o_c (`Backbone.scaled`). Kernel weights v_c of ours do what w_c of the original do, for
every x, when

    sum_c v_c s_c = sum_c w_c a_c   and   sum_c v_c o_c = sum_c w_c b_c:

two equations for three weights. Of all solutions the one nearest to the original's weights is taken
(nearest to 0 where the original has one channel). Both networks pad with zeros after the scaling,
and a zero contributes nothing to either, so the equality holds at the border too: it is exact.
"""

import numpy as np

from cxrkeras.models.backbones.shared.scaling import SCALINGS
from data_prep.errors import UserError

PIXELS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    **{name: scaling for name, scaling in SCALINGS.items() if name != "none"},
    "unit": ((1 / 255,) * 3, (0.0,) * 3),
    "xrv": ((2048 / 255,) * 3, (-1024.0,) * 3),  # torchxrayvision.datasets.normalize
}
"""What an original's pixels were: slope and offset per channel, for grey 0..255."""


def fold_scaling(kernel: np.ndarray, theirs: str, ours: str) -> np.ndarray:
    """The kernel that does on our pixels what `kernel` does on the original's.

    Args:
        kernel: (h, w, C, out), C 3 or 1.
        theirs: the original's scaling, a key of `PIXELS`.
        ours: that of our trunk, a key of `SCALINGS`.

    Returns:
        (h, w, 3, out).

    Raises:
        UserError: when our scaling is the same in all channels, which leaves no freedom.
    """
    kernel = np.asarray(kernel, np.float64)
    channels = kernel.shape[2]
    equations = np.array(SCALINGS[ours])
    if np.linalg.matrix_rank(equations) < 2:
        raise UserError(
            f"Pixels in the scaling {theirs} can't be taken over into a trunk whose own is {ours}. "
            "Leave --scaling out if the original was trained as keras.applications means it."
        )
    effect = np.einsum("ec,hwco->hweo", np.array(PIXELS[theirs])[:, :channels], kernel)
    start = kernel if channels == 3 else np.zeros((*kernel.shape[:2], 3, kernel.shape[3]))
    missing = effect - np.einsum("ec,hwco->hweo", equations, start)
    return start + np.einsum("ce,hweo->hwco", np.linalg.pinv(equations), missing)
