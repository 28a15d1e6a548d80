"""The tensors of somebody else's file, by their names there."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cxrkeras.models.importing.keras_h5 import read_keras_h5
from cxrkeras.models.importing.state import State
from cxrkeras.models.weights.bounds import check_archive
from cxrkeras.runs.sources import FOREIGN_FILES, TORCH_FILES
from data_prep.errors import UserError

_REPEATED = 10  # tensors that share their numbers are few
_NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights")


def read_state(path: Path) -> State:
    """Read a `.safetensors`, PyTorch or Keras 2 file. Nothing in it is executed.

    Args:
        path: its suffix says what it is: one of `FOREIGN_FILES`.

    Raises:
        UserError: the file is missing, of another kind, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path} to import. Give one that exists.")
    name = path.name.lower()
    if name.endswith(".safetensors"):
        return _of_numbers(State("torch", _read_safetensors(path)), path)
    if name.endswith(TORCH_FILES):
        return _of_numbers(State("torch", _read_torch(path)), path)
    if name.endswith(FOREIGN_FILES):
        return _of_numbers(read_keras_h5(path), path)
    if name.endswith(".keras"):
        raise UserError(
            f"{path} is a Keras 3 file, which needs no import. Use it: --source {path}."
        )
    raise UserError(f"weights import reads {', '.join(FOREIGN_FILES)}. Received: {path}.")


def _of_numbers(state: State, path: Path) -> State:
    for key, value in state.tensors.items():
        if value.dtype.kind not in "biuf":
            raise UserError(
                f"{path} holds no plain numbers in {key} ({value.dtype}). Save it in float32 first."
            )
    return state


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} can't be read as a .safetensors file ({type(error).__name__}). "
            "Download or write it again."
        ) from error
    except (TypeError, AttributeError) as error:  # bfloat16 and float8, which NumPy doesn't have
        raise UserError(
            f"{path} holds numbers of a kind that NumPy lacks (bfloat16 or float8). Save it in "
            "float32 first."
        ) from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """PyTorch's own reader of bare tensors (`weights_only`), which calls nothing of the file."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} is in PyTorch's format and torch is not installed: pip install "
            "'cxrkeras[torch]', or turn it into .safetensors elsewhere (docs/howto/weights.md)."
        ) from error
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
        raise UserError(  # CVE-2025-32434: before 2.6, weights_only could be made to run code
            f"{path} is in PyTorch's format, which torch before 2.6 can't read safely. "
            f"Received: torch {torch.__version__}. pip install -U 'cxrkeras[torch]'."
        )
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        with warnings.catch_warnings(action="ignore"):  # of what it then refuses
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(_more_than_tensors(path, str(error))) from error
    except Exception as error:  # damaged bytes raise whatever they happen to hit
        raise UserError(
            f"{path} can't be read as a PyTorch file ({type(error).__name__}). Download it again."
        ) from error
    found = _state_dict(loaded, torch.Tensor, path)
    _check_held(sum(v.numel() * v.element_size() for v in found.values()), path)
    return {
        key: value.detach().to(torch.float32 if value.is_floating_point() else value.dtype).numpy()
        for key, value in found.items()
    }


def _check_held(declared: int, path: Path) -> None:
    """A tensor may be one number, repeated by its strides as often as it claims."""
    if declared > _REPEATED * path.stat().st_size:
        raise UserError(
            f"{path} is refused: its tensors take more than {_REPEATED} times the file. Save them "
            "again, each separately."
        )


def _more_than_tensors(path: Path, message: str) -> str:
    named = re.search(r"(?:GLOBAL|class|type) ([\w.]+\.[\w.]+)", message)
    what = f" (it names {named[1]})" if named else ""
    return (
        f"{path} is a pickle that holds more than tensors{what}, and to load it would run what it "
        "names. Take its tensors, which runs nothing: python -m cxrkeras.models.importing.pickled "
        f"{path.name} x.safetensors, then import x.safetensors."
    )


def _state_dict(loaded: object, tensor: type, path: Path) -> dict[str, object]:
    """The mapping of names to tensors: the file itself, or the one under a usual name in it."""

    def of(thing: object) -> dict[str, object]:
        items = thing.items() if isinstance(thing, Mapping) else ()
        return {str(key): value for key, value in items if isinstance(value, tensor)}

    nested = loaded if isinstance(loaded, Mapping) else {}
    parts = {str(key): of(value) for key, value in nested.items()}
    parts = {key: found for key, found in parts.items() if found}
    if not parts and of(loaded):
        return of(loaded)
    usual = [key for key in _NESTED if key in parts]
    if usual or len(parts) == 1:
        return parts[(usual or list(parts))[0]]
    what = f"several sets of named tensors ({', '.join(parts)})" if parts else "no named tensors"
    raise UserError(f"{path} holds {what}. Save the wanted state_dict() alone.")
