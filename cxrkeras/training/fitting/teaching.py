"""What is true, as an input: for heads that learn by it, see `Head.teach`."""

from typing import TYPE_CHECKING

import keras

from cxrkeras.models.losses.shared.entries import value_and_weight
from cxrkeras.models.network import truth_name

if TYPE_CHECKING:
    import tensorflow as tf


def told(
    batches: "tf.data.Dataset", logits: keras.Model, teaching: keras.Model | None
) -> "tf.data.Dataset":
    """Batches of (inputs, {head: targets}) as they are learnt from: with the targets as inputs too.

    Args:
        batches: as `logits` take them.
        logits: whose inputs they are.
        teaching: what learns in its place, see `Network.teaching`; None if nothing does.
    """
    if teaching is None:
        return batches
    names = [tensor.name for tensor in logits.inputs]

    def tell(inputs, targets):
        given = inputs if isinstance(inputs, dict) else {names[0]: inputs}
        truth = {truth_name(head): value_and_weight(of)[0] for head, of in targets.items()}
        return given | truth, targets

    return batches.map(tell)
