"""Heads whose features are a vector: dropout and a dense layer on it."""

from cxrkeras.models.heads import Head


class DenseHead(Head):
    """Logits are linear in the features (N, F).

    The kernel starts at zero: a transferred trunk isn't shaken by a random head. (One layer has no
    symmetry to break.)
    """

    def classify(self, features, outputs, *, dropout, seed):
        """See `Head.classify`."""
        from keras import layers

        first = next(iter(outputs))
        features = layers.Dropout(dropout, seed=seed, name=f"dropout_{first}")(features)
        return {
            name: layers.Dense(labels, kernel_initializer="zeros", name=name)(features)
            for name, labels in outputs.items()
        }


def side_by_side(vectors: list, known):
    """(N, sum of C) from (N, C) each, and what else is known of the images, if anything is."""
    from keras import layers

    joined = vectors if known is None else [*vectors, known]
    return joined[0] if len(joined) == 1 else layers.Concatenate(name="features")(joined)


def with_known(logits, known, name: str):
    """The logits (N, K) of an output, and a linear part in what else is known; zero at first."""
    if known is None:
        return logits
    from keras import layers

    beside = layers.Dense(
        logits.shape[-1], use_bias=False, kernel_initializer="zeros", name=f"{name}-known"
    )
    return layers.Add(name=f"{name}-all")([logits, beside(known)])
