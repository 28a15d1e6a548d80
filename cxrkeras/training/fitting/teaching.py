"""What is true, as an input: for heads that learn by it, see `Head.teach`."""

from typing import TYPE_CHECKING

import keras

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
        return given | {truth_name(head): of_head for head, of_head in targets.items()}, targets

    return batches.map(tell)
