"""A whole PyTorch model in a pickle -> its tensors as .safetensors, without running the pickle.

    python -m cxrkeras.models.importing.pickled MODEL.pt MODEL.safetensors

`torch.load(weights_only=True)` refuses a model that was saved as an object, since loading it means
to import and call what the file names. Here only what rebuilds tensors is called. Every other name
in the file becomes an empty shell that keeps its attributes, and the modules among the shells are
walked for their parameters and buffers, as `state_dict()` would. Needs torch (extra `torch`).
"""

import argparse
import collections
import io
import pickle
import types
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from cxrkeras.models.weights.bounds import check_script

STORAGES = {name for name in dir(torch) if name.endswith("Storage")}
ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "device"): torch.device,
    ("torch", "Size"): torch.Size,
}


class Shell:
    """Stands for anything that the file names: takes every argument and does nothing."""

    def __init__(self, *arguments, **options):
        pass

    def __call__(self, *arguments, **options):
        return Shell()

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


class TensorsOnly(pickle.Unpickler):
    """An unpickler that finds nothing but what rebuilds tensors."""

    def find_class(self, module: str, name: str):
        """The tensor builder of that name, or a fresh shell."""
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return storage_from_bytes
        if module == "torch" and name in STORAGES:
            return getattr(torch, name)
        return type(name, (Shell,), {})


def storage_from_bytes(content: bytes):
    """What `torch.save` wrote of a storage, under the same restriction."""
    return load(io.BytesIO(content))


def load(file):
    """The object in a file of `torch.save`."""
    restricted = types.SimpleNamespace(
        Unpickler=TensorsOnly,
        load=lambda content, **options: TensorsOnly(content, **options).load(),
        __name__="restricted",
    )
    return torch.load(file, map_location="cpu", pickle_module=restricted, weights_only=False)


def read(path: Path):
    """The object in a file of `torch.save`, or in a plain pickle."""
    if zipfile.is_zipfile(path):
        check_script(path)  # which `torch.load` would hand to another loader
    with path.open("rb") as file:
        plain = file.read(2) == b"\x80\x04"
    if plain:  # torch.save writes a zip archive, or pickles of protocol 2
        with path.open("rb") as file:
            return TensorsOnly(file).load()
    return load(path)


def tensors(thing, prefix: str = "") -> dict[str, torch.Tensor]:
    """Parameters and buffers below `thing`, named as `state_dict()` names them."""
    if isinstance(thing, torch.Tensor):
        return {prefix.removesuffix("."): thing}
    if isinstance(thing, dict):
        children = thing
    elif "_parameters" in (own := vars(thing) if isinstance(thing, Shell) else {}):
        children = {**own["_parameters"], **own["_buffers"], **own["_modules"]}
    else:
        return {
            key: value
            for child in own.values()
            if isinstance(child, Shell)
            for key, value in tensors(child, prefix).items()
        }
    found = {}
    for name, child in children.items():
        found.update(tensors(child, f"{prefix}{name}."))
    return found


def to_safetensors(file: Path, out: Path) -> int:
    """Write a file's tensors as `.safetensors`; return how many there are."""
    found = tensors(read(file))
    save_file({key: value.detach().contiguous().clone() for key, value in found.items()}, out)
    return len(found)


def main() -> None:
    """Convert one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    print(f"{given.out}: {to_safetensors(given.file, given.out)} tensors")


if __name__ == "__main__":
    main()
