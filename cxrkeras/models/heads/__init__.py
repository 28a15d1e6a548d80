"""Heads: from a network's feature maps and further inputs to logits."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from cxrkeras.registry import Part

if TYPE_CHECKING:
    import keras

Maps = Mapping[str, "keras.KerasTensor"]
"""A trunk's feature maps (N, h, w, C) by stride, `s04` to `s32`, from fine to coarse."""

TARGET = "target"
"""The output that a model serves, and the layer that ends it."""


class Head(Part):
    """The layers on top of the trunks.

    An image's logits depend on that image alone, and in prediction on no random state.

    Attributes:
        strides: the maps that it needs beside each trunk's last, e.g. `("s08", "s16")`.
        pooled: whether `features` returns (N, C) and has no weights. On frozen trunks they are then
            computed once for each image, and standardised.
        map: what its own map of a label shows, the rest of a sentence such as `each place's
            probability`; "" if it has none, then CAM is drawn where it is exact, else Grad-CAM.
        unit: what the values of that map are, e.g. `logit`.
    """

    strides: ClassVar[tuple[str, ...]] = ()
    pooled: ClassVar[bool] = False
    map: ClassVar[str] = ""
    unit: ClassVar[str] = "weight"

    @abstractmethod
    def features(
        self, maps: Sequence[Maps], known: "keras.KerasTensor | None", *, seed: int
    ) -> Any:
        """The features that the classifiers share, from each trunk's maps, with Keras's layers.

        Args:
            maps: of each trunk, the last and those of `strides`.
            known: (N, E) further inputs, scaled; None if there are none.
            seed: of initial weights and random states.

        Returns:
            A tensor, or several in a list.
        """
        raise NotImplementedError

    @abstractmethod
    def classify(
        self, features: Any, outputs: Mapping[str, int], *, dropout: float, seed: int
    ) -> "dict[str, keras.KerasTensor]":
        """The logits (N, K) of each output, {name: K}.

        The layer that ends an output has its name. Where that has a `bias` (K,), training starts
        from the log odds of the labels' shares; its kernel should then start at zero.

        Args:
            features: what `features` gave.
            outputs: names and numbers of labels; the second of two is a label's uncertain class.
            dropout: the rate, in [0, 1).
            seed: of initial weights and random states.
        """
        raise NotImplementedError

    def heat(
        self, model: "keras.Model", labels: int
    ) -> "keras.KerasTensor | list[keras.KerasTensor]":
        """The head's own map of each label; only asked for where `map` says what it shows.

        A tensor of the graph of a network that was built, or loaded, with this head, found through
        the names that `features` and `classify` gave to layers; the output is `TARGET`.

        Args:
            model: inputs -> (N, K) probabilities; its layers may share weights with others.
            labels: K.

        Returns:
            (N, h, w, K), whose cells tile the image; or several, on grids of their own, which are
            brought to the finest and added.
        """
        raise NotImplementedError
