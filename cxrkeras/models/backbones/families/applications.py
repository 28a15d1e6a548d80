"""All of `keras.applications`, by name, from Keras's own files, read without importing them."""

import ast
import importlib.util
import re
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cxrkeras.models.backbones import Backbone
from cxrkeras.registry import About

if TYPE_CHECKING:
    import keras

# `ResNet50V2` is ResNet50 and V2: a net, and what stands before it in its name, is one word.
_WORD = re.compile(r"[A-Z]+[a-z]*(?:Net|NeXt)\d*|[A-Z]+[a-z]*\d*")
_COMPARED = ("DenseNet121", "ResNet50", "VGG16", "Xception", "InceptionV3")
"""Those whose files of Keras 2 were compared with ours, tensor by tensor and by features."""

_DENSENET121 = (6, 12, 24, 16)
_REFERENCE = re.compile(r"\bReferences?:\s*-\s*\[([^]]+)]\(\s*(\S+?)\s*\)")


class Application(Backbone):
    """A constructor of `keras.applications`.

    Attributes:
        constructor: its name there.
        normalises: whether it begins with a normalisation whose statistics are weights.
    """

    published: ClassVar[bool] = True
    constructor: ClassVar[str]
    normalises: ClassVar[bool]

    @classmethod
    def part_name(cls) -> str:
        """Its name here, e.g. `resnet50_v2`."""
        return spell(cls.constructor)

    def build(self, image_size: int, weights: str | None) -> "keras.Model":
        """The trunk as Keras builds it, less a normalisation by weights."""
        import keras

        constructor = getattr(keras.applications, self.constructor)
        shape = (image_size, image_size, 3)
        trunk = constructor(include_top=False, weights=weights, input_shape=shape)
        return _without_normalisation(trunk) if self.normalises else trunk

    def torch_modules(self) -> dict[str, str]:
        """As the base class says; torchvision's DenseNet121 is Keras's."""
        return _densenet_modules(_DENSENET121) if self.constructor == "DenseNet121" else {}

    def own_maps(self, trunk: "keras.Model") -> "dict[str, keras.KerasTensor]":
        """As every backbone's; those of NASNet by the names of its cells' outputs.

        A cell has the outputs of the two cells before it as inputs, so ways lead around each.
        """
        if not self.constructor.startswith("NASNet"):
            return super().own_maps(trunk)
        from cxrkeras.models.backbones.shared.strides import named, strides_of

        cells = (layer.output for layer in trunk.layers if "_concat_" in layer.name)
        return named(trunk, strides_of(trunk), cells)


class Applications:
    """The family: names from the public package, the rest from the module of each."""

    def names(self) -> list[str]:
        """Their names."""
        return list(self._constructors)

    def load(self, name: str) -> type[Application]:
        """The class of one; the same each time, so that parts compare by value."""
        return _application(*self._constructors[name])

    def about(self, name: str) -> About:
        """What one is, and the paper that Keras names for it."""
        constructor, module = self._constructors[name]
        found = _REFERENCE.search(_source(module).read_text(encoding="utf-8"))
        source = " ".join(f"{found[1]}, {found[2]}".split()) if found else ""
        return About(name, f"{constructor} of keras.applications.", source, "")

    @cached_property
    def _constructors(self) -> dict[str, tuple[str, str]]:
        """{name: (constructor, module)}."""
        tree = ast.parse(_source("keras.applications").read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        return {
            spell(alias.name): (alias.name, node.module)
            for node in imports
            for alias in node.names
            if alias.name[0].isupper()
        }


def spell(constructor: str) -> str:
    """Its name here: `DenseNet121` is densenet121, `InceptionV3` inception_v3."""
    return "_".join(_WORD.findall(constructor)).lower()


@cache
def _application(constructor: str, module: str) -> type[Application]:
    """What the module says of pixels, weights and sizes, as a class.

    EfficientNet's first version is special: a normalisation that holds ImageNet's statistics among
    its weights, and with weights of ImageNet one more layer. Together they are the scaling `torch`,
    so the layers in front of the trunk do it, whichever weights it has.
    """
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    modes = _constants(functions["preprocess_input"], "mode")
    sizes = _constants(functions[constructor], "default_size") or _constants(tree, "default_size")
    normalises = any(
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "Normalization"
        and not any(keyword.arg == "mean" for keyword in call.keywords)
        for call in _calls(tree)
    )
    return type(
        constructor,
        (Application,),
        {
            "__module__": __name__,
            "__doc__": f"{constructor} of keras.applications.",
            "constructor": constructor,
            "normalises": normalises,
            "scaling": "torch" if normalises else (modes or ["none"])[0],
            "side": max(_constants(tree, "min_size"), default=Backbone.side),
            "usual": (sizes or [Backbone.usual])[0],
            "files": tuple(f"{library}'s {constructor}" for library in _libraries(constructor)),
        },
    )


def _libraries(constructor: str) -> tuple[str, ...]:
    """Whose files of such a network can be imported."""
    if constructor not in _COMPARED:
        return ()
    return ("PyTorch", "Keras") if constructor == "DenseNet121" else ("Keras",)


def _densenet_modules(blocks: tuple[int, ...]) -> dict[str, str]:
    modules = {"conv1_conv": "conv0", "conv1_bn": "norm0", "bn": "norm5"}
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            ours, theirs = f"conv{block + 1}_block{layer}", f"denseblock{block}.denselayer{layer}"
            modules |= {f"{ours}_0_bn": f"{theirs}.norm1", f"{ours}_1_conv": f"{theirs}.conv1"}
            modules |= {f"{ours}_1_bn": f"{theirs}.norm2", f"{ours}_2_conv": f"{theirs}.conv2"}
        if block < len(blocks):
            modules[f"pool{block + 1}_bn"] = f"transition{block}.norm"
            modules[f"pool{block + 1}_conv"] = f"transition{block}.conv"
    return modules


def _calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _constants(tree: ast.AST, keyword: str) -> list:
    """What calls pass by that keyword, where they pass a constant."""
    return [
        found.value.value
        for call in _calls(tree)
        for found in call.keywords
        if found.arg == keyword and isinstance(found.value, ast.Constant)
    ]


def _source(module: str) -> Path:
    """The file of a module of Keras, which isn't imported."""
    (root,) = importlib.util.find_spec("keras").submodule_search_locations
    path = Path(root).joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _without_normalisation(trunk: "keras.Model") -> "keras.Model":
    import keras

    before = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)
    first = next(layer for layer in trunk.layers if not isinstance(layer, before))
    return keras.Model(first.input, trunk.output)
