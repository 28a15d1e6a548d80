"""KerasHub's image backbones, by preset or folder: `hub:dinov2_small`, `hub:PATH` (extra `hub`).

A folder is what KerasHub, Hugging Face's transformers or timm write: `config.json` and weights.
Nothing is downloaded for one. A preset's name, or `hf://ORGANISATION/MODEL`, downloads what it
names. KerasHub is under Apache-2.0; the weights have licences of their own.

Transformers of patches give tokens: those of the class and the registers are dropped, and the
others put back to where their patches are, one map at the stride of a patch. At another size than
the preset's, KerasHub interpolates DINOv2's positions, a little otherwise than transformers does.

Source: KerasHub, https://keras.io/keras_hub
"""

import importlib.util
import json
from collections.abc import Sequence
from math import log2
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator

from cxrkeras.models.backbones import Backbone
from cxrkeras.registry import option
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

    from cxrkeras.models.backbones.shared.scaling import Scaling

_RULE = "preprocessor_config.json"


class Part(Backbone):
    """An image backbone of KerasHub; layers of its own stay in the model."""

    main: ClassVar[str] = "preset"
    published: ClassVar[bool] = True

    preset: str = option(..., "A preset, a folder, or hf://ORGANISATION/MODEL.", min_length=1)

    @field_validator("preset")
    @classmethod
    def _absolute(cls, preset: str) -> str:
        """Folders are the same from wherever a run goes on."""
        folder = Path(preset).expanduser()
        return str(folder.absolute()) if folder.is_dir() else preset

    def check(self, image_size: int, option: str = "--image-size") -> None:
        """As every backbone's, and whether KerasHub is there.

        Raises:
            UserError: the image is too small, or KerasHub isn't installed.
        """
        super().check(image_size, option)
        if importlib.util.find_spec("keras_hub") is None:
            raise UserError(
                "--backbone hub needs KerasHub, which isn't installed. Install it: "
                "pip install 'cxrkeras[hub]'."
            )

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """The preset at that size; any `weights` are the preset's own.

        Raises:
            UserError: it can't be loaded, has no maps, or doesn't take images of that size.
        """
        import keras
        import keras_hub

        try:
            net = keras_hub.models.Backbone.from_preset(
                self.preset,
                load_weights=weights is not None,
                image_shape=(image_size, image_size, 3),
            )
        except Exception as error:  # KerasHub and what it downloads with raise anything
            raise self._no(f"can't be built for {image_size} px", error) from error
        (image,) = net.inputs
        if not isinstance(net.output, keras.KerasTensor):
            raise self._no("isn't an image backbone: it has several outputs")
        if len(net.output.shape) == 4:
            trunk = keras.Model(image, net.output)
            trunk.levels = dict(getattr(net, "pyramid_outputs", None) or {})
            return trunk
        patch = getattr(net, "patch_size", None)
        patch = patch[0] if isinstance(patch, list | tuple) else patch
        trunk = keras.Model(image, self._map_of(net, image_size // patch if patch else 0))
        trunk.patch = patch
        return trunk

    def own_maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """The levels of its pyramid, or the one map that its tokens make.

        A level's stride is found from the finest, whose side tells it without doubt.
        """
        from cxrkeras.models.backbones.shared.strides import SMALLEST, key

        size, last = trunk.input_shape[1], trunk.output
        if patch := getattr(trunk, "patch", None):
            return {key(patch): last}
        levels = sorted(
            (t for t in getattr(trunk, "levels", {}).values() if len(t.shape) == 4),
            key=lambda tensor: -tensor.shape[1],
        )
        levels = [level for level in levels if level.shape[1] != last.shape[1]] + [last]
        finest = 2 ** round(log2(size / levels[0].shape[1]))
        strides = {finest * 2**number: level for number, level in enumerate(levels)}
        return {key(stride): level for stride, level in strides.items() if stride >= SMALLEST}

    def pixels(self) -> "Scaling":
        """As the preset's own image converter, or preprocessor, scales grey.

        Raises:
            UserError: nothing says how its pixels are scaled.
        """
        rule = self._rule()
        if rule:
            factor = rule.get("rescale_factor", 1 / 255) if rule.get("do_rescale", True) else 1.0
            plain = not rule.get("do_normalize", True)
            mean = (0.0,) * 3 if plain else rule["image_mean"]
            std = (1.0,) * 3 if plain else rule["image_std"]
            slope = [factor / s for s in std]
            return _three(slope), _three([-m / s for m, s in zip(mean, std, strict=True)])
        import keras_hub

        try:
            converter = keras_hub.layers.ImageConverter.from_preset(self.preset)
        except Exception as error:  # as in `build`
            raise self._no("says nothing of how its pixels are scaled", error) from error
        if converter is None:
            raise self._no(f"says nothing of how its pixels are scaled: it has no {_RULE}")
        slope = 1.0 if converter.scale is None else converter.scale
        return _three(slope), _three(0.0 if converter.offset is None else converter.offset)

    def _rule(self) -> dict[str, Any]:
        """What transformers wrote of the pixels, {} where it's another's preset."""
        file = Path(self.preset, _RULE)
        if self.preset.startswith("hf://"):
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

            try:
                file = Path(hf_hub_download(self.preset.removeprefix("hf://"), _RULE))
            except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
                return {}
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _map_of(self, net: "keras.Model", side: int):
        """(N, T, C) tokens -> (N, side, side, C), those before the patches' dropped."""
        import keras

        tokens, shape = net.output, net.output.shape
        if len(shape) != 3 or not side or shape[1] is None or shape[1] < side * side:
            raise self._no(f"gives no map: its output is {tuple(shape)}")
        patches = keras.layers.Cropping1D((shape[1] - side * side, 0), name="patches")(tokens)
        return keras.layers.Reshape((side, side, shape[2]), name="map")(patches)

    def _no(self, what: str, error: Exception | None = None) -> UserError:
        said = shorten(str(error), 160, placeholder=" …") or type(error).__name__ if error else ""
        why = f" ({said.rstrip('.')})" if said else ""
        return UserError(
            f"--backbone hub: {self.preset} {what}{why}. Give a preset of an image backbone, the "
            "folder of one, or another --image-size."
        )


def _three(value: float | Sequence[float]) -> tuple[float, ...]:
    values = tuple(map(float, value)) if isinstance(value, Sequence) else (float(value),) * 3
    return values * 3 if len(values) == 1 else values
