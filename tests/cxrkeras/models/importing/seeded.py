"""Weights and images from a seed, the same in every process, library and NumPy version.

They come from a bit generator's raw output, whose stream NumPy guarantees, so that features
recorded once with PyTorch or Keras 2 can be compared with ours without keeping the weights.
"""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

FIXTURES = Path(__file__).parent / "fixtures"
ONE_CHANNEL = 600.0  # about the spread of pixels in -1024..1024


@dataclass(frozen=True)
class Recorded:
    """A network's tensors, and what its own library makes of the seeded values and images.

    Args:
        shapes: by the names in its own file.
        layers: of Keras 2: each layer's weights, in the file's order; empty for PyTorch.
        features: (2, C) after global average pooling.
        logits: (2, K).
    """

    shapes: dict[str, tuple[int, ...]]
    layers: dict[str, list[str]]
    features: np.ndarray
    logits: np.ndarray


def uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in [0, 1) that depend on nothing but the arguments."""
    raw = np.random.Philox(key=zlib.crc32(key.encode())).random_raw(math.prod(shape))
    return (raw >> np.uint64(11)).reshape(shape) * 2.0**-53


def images(side: int) -> np.ndarray:
    """Two grey images (2, side, side, 1), float32 in 0..255."""
    return (255 * uniform(f"images {side}", (2, side, side, 1))).astype(np.float32)


def halved(paths: list[Path]) -> np.ndarray:
    """Films of 512x512 as means of 2x2 pixels, (N, 256, 256, 1) float32, in any library alike."""
    films = np.stack([np.asarray(Image.open(path).convert("L"), np.float32) for path in paths])
    return films.reshape(len(paths), 256, 2, 256, 2).mean(axis=(2, 4))[..., None]


def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor of that name: He's variance for kernels, statistics near a standard normal's."""
    kind = name.removesuffix(":0").rpartition("/")[2].rpartition(".")[2]
    spread = uniform(name, shape)
    if kind == "num_batches_tracked":
        return np.array(7, np.int64)
    if kind in ("running_var", "moving_variance"):
        result = 0.5 + spread
        if "batch_normalization" not in name:  # InceptionV3's have no gamma to make up for it
            result[0] = 0.0  # a channel that never fires: there, epsilon is everything
    elif kind in ("weight", "gamma") and len(shape) == 1:
        result = 0.75 + 0.5 * spread
        result[0] = 0.003  # about the root of epsilon, for the channel without variance
    elif len(shape) == 1:
        result = 0.2 * (spread - 0.5)
    else:
        torch = kind == "weight"
        inputs = math.prod(shape[1:] if torch else shape[:-1])
        result = (spread - 0.5) * math.sqrt(24 / inputs)  # variance 2 / inputs
        if torch and shape[1:] == (1, 7, 7):
            result /= ONE_CHANNEL
    return result.astype(np.float32)


def values(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All tensors of a network."""
    return {name: value(name, shape) for name, shape in shapes.items()}


def write_recorded(path: Path, recorded: Recorded) -> None:
    """Keep a recording."""
    np.savez_compressed(
        path,
        names=np.array(list(recorded.shapes)),
        shapes=np.array([",".join(map(str, shape)) for shape in recorded.shapes.values()]),
        layers=np.array(list(recorded.layers) or [""]),
        weights=np.array(["\n".join(names) for names in recorded.layers.values()] or [""]),
        features=recorded.features.astype(np.float32),
        logits=recorded.logits.astype(np.float32),
    )


def torch_recordings() -> dict[str, str]:
    """{backbone: its recording} of all backbones that take a file of PyTorch."""
    from cxrkeras.models.importing.recognise import importable

    return {
        backbone: f"torch_{network.rpartition(' ')[2].lower().replace('-', '_')}"
        for network, backbone in importable().items()
        if network.startswith("PyTorch")
    }


def recorded(name: str) -> Recorded:
    """Read a recording."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        shapes = [tuple(map(int, filter(None, text.split(",")))) for text in file["shapes"]]
        layers = zip(file["layers"], file["weights"], strict=True)
        return Recorded(
            dict(zip(file["names"].tolist(), shapes, strict=True)),
            {str(layer): str(names).splitlines() for layer, names in layers if layer},
            file["features"],
            file["logits"],
        )


def write_keras2(path: Path, layers: dict[str, list[str]], tensors: dict[str, np.ndarray]) -> None:
    """An HDF5 file as `save_weights` of Keras 2 lays it out.

    Args:
        path: of the file.
        layers: all layers in order, also those without weights.
        tensors: by weight name.
    """
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        file.attrs["keras_version"], file.attrs["backend"] = b"2.1.6", b"tensorflow"
        for layer, names in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name in names:
                group[name] = tensors[name]
