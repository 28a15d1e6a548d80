"""The members of an ensemble as one Keras model; a shared trunk is in it only once."""

from collections.abc import Sequence

import keras
from keras import layers


def joined(
    members: Sequence[keras.Model], features: Sequence[keras.KerasTensor | None]
) -> keras.Model:
    """One model: image (N, S, S, 1), grey 0-255 -> probability (N, K), the members' mean.

    Args:
        members: at least one, of equal input and output shapes; their weights are shared with the
            result.
        features: where each member's own part begins, on the tensors of a trunk that it shares;
            None where it shares none.
    """
    if len(members) == 1:
        return members[0]
    image = keras.Input(members[0].inputs[0].shape[1:], name="image")
    starts, start = list(features), image
    if starts[0] is None or any(other is not starts[0] for other in starts):
        starts = [member.inputs[0] for member in members]
    else:
        start = keras.Model(members[0].inputs[0], starts[0], name="trunk")(image)
    outputs = [
        keras.Model(begin, member.outputs[0], name=f"member_{number}")(start)
        for number, (begin, member) in enumerate(zip(starts, members, strict=True))
    ]
    return keras.Model(image, layers.Average(name="mean")(outputs), name="ensemble")
