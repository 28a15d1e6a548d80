"""The losses, from logits and with masked entries, as layers and for any Keras model.

>>> import keras, cxrkeras
>>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
>>> model.compile("adam", cxrkeras.losses.BatchWeightedBCE())
"""

from cxrkeras.models.losses.shared.bce import BatchWeightedBCE, MaskedBCE

__all__ = ["BatchWeightedBCE", "MaskedBCE"]
