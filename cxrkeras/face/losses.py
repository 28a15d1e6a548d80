"""The losses, from logits and with masked entries, for any Keras model.

>>> import keras, cxrkeras
>>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
>>> model.compile("adam", cxrkeras.losses.BatchWeightedBCE())
"""

from cxrkeras.models.losses.batch_weighted import BatchWeightedBCE, MaskedBCE

__all__ = ["BatchWeightedBCE", "MaskedBCE"]
