"""Backbones: image -> feature map. A part's file has a class `Part(Backbone)`. Imports no Keras."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from cxrkeras.registry import BACKBONES, Part, option
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

    from cxrkeras.models.backbones.shared.scaling import Scaling

_SHRINKS = {"none": 1, "conv4": 4, "pool2": 2}


class Backbone(Part):
    """The base of backbones: a trunk, and the scaling that its weights expect.

    A part defines `build`, and `scaling`, `side` and `published` if they differ. Stems are for all
    (`shared.stems`): a part builds its trunk as if there were none.

    Attributes:
        scaling: how its pixels are scaled: one of `shared.scaling.SCALINGS`.
        side: the smallest image side in pixels that it accepts.
        published: whether `build` takes the published weights `imagenet`; refused if not.
        partly: what published weights leave at random, in words; "" for nothing.
        usual: the image side in pixels of a model that `weights import` makes if nobody says.
        files: whose weights files `weights import` takes for it, as `importing.recognise` names
            them: `PyTorch's ResNet18`.
        torch_bias: whether the convolutions of `torch_modules` have a bias.
    """

    scaling: ClassVar[str] = "none"
    side: ClassVar[int] = 32
    published: ClassVar[bool] = False
    partly: ClassVar[str] = ""
    usual: ClassVar[int] = 224
    files: ClassVar[tuple[str, ...]] = ()
    torch_bias: ClassVar[bool] = False

    stem: Literal["none", "conv4", "pool2"] = option(
        "none",
        "For large images: conv4 puts two convolutions of stride 2 before the trunk (DNetLoc, "
        "1024 px), pool2 a pooling behind its finest map (Baltruschat, 448 px).",
    )

    @abstractmethod
    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """Build the trunk without a stem; arguments as for `trunk`."""
        raise NotImplementedError

    def torch_modules(self) -> dict[str, str]:
        """{layer of the trunk: module in torchvision's network}, of all layers with weights.

        The module as below the network's root, or below its `features.` where those have names.
        Empty where `files` names none of PyTorch.
        """
        return {}

    def smallest(self) -> int:
        """The smallest image side in pixels that it accepts, found without building anything."""
        return self.side * _SHRINKS[self.stem]

    def check(self, image_size: int, option: str = "--image-size") -> None:
        """Refuse images that are too small.

        Args:
            image_size: their side in pixels.
            option: what decides that side.

        Raises:
            UserError: the side is below `smallest`.
        """
        if image_size < self.smallest():
            raise UserError(
                f"{self} needs images of at least {self.smallest()} px. "
                f"Received: {image_size}. Raise {option}."
            )

    def trunk(
        self, image_size: int, *, name: str | None = None, weights: str | None = None
    ) -> "keras.Model":
        """The backbone without its top: (N, S, S, 3) scaled image -> (N, h, w, C) feature map.

        A stem, if there is one, is part of it.

        Args:
            image_size: the side S in pixels.
            name: the layer name in a larger model; the part's own by default.
            weights: None for a random start, or `imagenet` for the published weights.

        Raises:
            UserError: the image is too small, or there are no such weights.
        """
        self.check(image_size)
        if self.stem == "none":
            trunk = self.build(image_size, weights)  # may refuse weights in words of its own
        else:
            from cxrkeras.models.backbones.shared.stems import STEMS

            trunk, maps = STEMS[self.stem](self, image_size, weights)
            trunk.stemmed = maps
        if weights and not self.published:
            raise UserError(
                f"There are no published weights of {self}. Received: --source {weights}. "
                "Leave it out, or give a weights file or a dataset."
            )
        trunk.name = name or self.part_name()  # as an argument, EfficientNetV2 takes it for a key
        return trunk

    def scaled(self, image, *, trunk: str | None = None):
        """Grey replicated to three channels and scaled as the weights expect it.

        Keras's own layers do it, so that a saved model opens without this package.

        Args:
            image: (N, H, W, 1) float, 0-255, symbolic or an array.
            trunk: the trunk that the layers stand before and are named after.

        Returns:
            (N, H, W, 3) float.
        """
        from cxrkeras.models.backbones.shared.scaling import grey_to_colour

        return grey_to_colour(image, self.pixels(), trunk=trunk)

    def pixels(self) -> "Scaling":
        """How its pixels are scaled: slope and offset of each channel."""
        from cxrkeras.models.backbones.shared.scaling import SCALINGS

        return SCALINGS[self.scaling]

    def maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """A trunk's maps by their stride in pixels of the image, including the last.

        Args:
            trunk: as `trunk` returns it.

        Returns:
            {`s04`: (N, h, w, C), `s08`: …}, tensors of the trunk's own graph, the strides
            ascending. Which strides there are depends on the backbone.
        """
        return dict(getattr(trunk, "stemmed", None) or self.own_maps(trunk))

    def own_maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """As `maps`, of what `build` returned: found by a common rule, unless a part knows more."""
        from cxrkeras.models.backbones.shared.strides import maps_by_stride

        return maps_by_stride(trunk)


def check_backbone(text: str, image_size: int) -> Backbone:
    """Return the backbone `NAME` or `NAME:key=value`, if it accepts such images.

    Raises:
        UserError: there is no such backbone or option, or the image is too small.
    """
    backbone = BACKBONES.make(text)
    backbone.check(image_size)
    return backbone
