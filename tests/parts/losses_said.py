"""What every loss says of one batch, on the backend of the process; prints it as JSON."""

import json

import numpy as np

from cxrkeras import runtime
from cxrkeras.data.labels.entries import MASKED

POSITIVES, NEGATIVES = 60.0, 180.0


def layer_of(loss, labels, width, positives=POSITIVES, negatives=NEGATIVES):
    """The layer with its weights made, and the training counts that it may ask for."""
    layer = loss.layer()
    layer(np.zeros((1, labels), np.float32), np.zeros((1, width), np.float32))
    if hasattr(layer, "counts"):
        sides = np.broadcast_to(positives, labels), np.broadcast_to(negatives, labels)
        layer.counts.assign(np.stack(sides, axis=1))
    return layer


def told() -> dict:
    """{loss: [value, gradient (16, 5)]} at its defaults."""
    from cxrkeras.registry import LOSSES
    from tests.cxrkeras.models.losses.losses_by_hand import value_and_gradient

    rng = np.random.default_rng(0)
    targets, logits = rng.choice([MASKED, 0, 1, 0.3], (16, 5)), rng.normal(0, 3, (16, 5))
    found = {}
    for name in LOSSES.names():
        layer = layer_of(LOSSES.make(name), 5, 5)
        value, gradient = value_and_gradient(layer, targets, logits)
        found[name] = [value, gradient.tolist()]
    return found


if __name__ == "__main__":
    runtime.start()
    print(json.dumps(told()))
