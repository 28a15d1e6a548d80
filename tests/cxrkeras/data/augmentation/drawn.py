"""Images at random, and what a layer makes of them."""

import numpy as np


def pictures(n=2, height=16, width=16, seed=0):
    shape = (n, height, width, 1)
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def augmented(layer, images):
    return np.asarray(layer(images, training=True))
