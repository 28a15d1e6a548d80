"""Random changes of whole training batches, inputs and targets together: one per file."""

from typing import TYPE_CHECKING, Any, ClassVar

from cxrkeras.registry import Part

if TYPE_CHECKING:
    import tensorflow as tf


class Transform(Part):
    """Changes the rows of one part of a batch; written with TensorFlow, for tf.data: what
    depends on a tensor is chosen with `tf.cond`, since an `if` isn't rewritten.

    It has no state: what it draws depends on `seed` alone, so batches are the same on every
    backend, and after a killed run resumes.

    Attributes:
        images: whether it changes images alone. Then targets come out as they went in, so that what
            the loss does to the odds stays known; and it is refused where features are learnt from.
    """

    images: ClassVar[bool] = False

    def apply(
        self, inputs: Any, targets: "dict[str, tf.Tensor]", seed: "tf.Tensor"
    ) -> "tuple[Any, dict[str, tf.Tensor]]":
        """Change the rows.

        Args:
            inputs: (B, ...) float32, images 0-255 or features; or a dictionary of `image` and
                further inputs, (B, 1) numbers, of which negative ones mean unknown.
            targets: {head: (B, K) float32} in [0, 1], MASKED, or UNCERTAIN_CLASS
                (`cxrkeras.data.labels.entries`); or (B, K, 2), with weights in (0, 1].
            seed: (2,) int64, different for each part of each batch of each epoch.

        Returns:
            Both, in the same shapes. A masked entry stays masked, and weights stay in [0, 1].
        """
        raise NotImplementedError
