"""What a model keeps of its training films' features, and what that says of another film."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from cxrkeras.models.familiar import FILE
from cxrkeras.models.familiar.density import Density
from cxrkeras.models.weights.files import weights_of
from data_prep.errors import UserError
from data_prep.files import replacing

LIMIT = 0.99
"""The share of out-of-fold films that lie nearer, from which a film is flagged."""
_ABOUT = "about"  # one entry: the file's order of several isn't fixed
_ARRAYS = ("mean", "scale", "axes", "spread", "noise", "held_out")


class Nearer(NamedTuple):
    """How many of some films that a model hadn't seen lie nearer to its training films.

    Args:
        whose: identifies these films.
        of: their number.
        count: (N,) how many of them lie nearer than each of N films.
        weight: the model's in an ensemble.
        among: what identifies the films of all folds together, and their number; None if unknown.
    """

    whose: str
    of: int
    count: np.ndarray
    weight: float = 1.0
    among: tuple[str, int] | None = None


@dataclass(frozen=True)
class Familiar:
    """The films that a model knows.

    Args:
        density: of its training films' features.
        held_out: (n,) float64, rising: the distances of films that it, or the models of the run's
            folds, hadn't seen.
        whose: identifies these films.
        layers: whose outputs the features are, see `tensors.with_features`.
        among: see `Nearer`.
    """

    density: Density
    held_out: np.ndarray
    whose: str
    layers: tuple[str, ...]
    among: tuple[str, int] | None = None

    def nearer(self, features: np.ndarray) -> Nearer:
        """Of films with these features, (N, C)."""
        count = np.searchsorted(self.held_out, self.density.distance(features), side="left")
        number = len(self.held_out)
        return Nearer(self.whose, number, count.astype(np.float64), among=self.among)


def unlike(found: Iterable[Nearer]) -> np.ndarray | None:
    """(N,) in [0, 1): the share of out-of-fold films that lie nearer to the training films.

    Each model compares a film with the out-of-fold films that it scored itself, and the counts are
    added up; models that held out the same films count by their mean, and so do runs with other
    folds of the same films, each of which holds out all of them. That is a cross-conformal
    predictor (Vovk, Annals of Mathematics and Artificial Intelligence 2015): the film counts as one
    more, so that one that is like them has a share of at least q with a probability of about 1 - q,
    and of few films none is far above the others.

    Args:
        found: of the models of an ensemble that have it.

    Returns:
        None where none has.
    """
    by_films: dict[str, list[Nearer]] = {}
    for one in found:
        by_films.setdefault(one.whose, []).append(one)
    if not by_films:
        return None
    times = _times({whose: (models[0].of, models[0].among) for whose, models in by_films.items()})
    count, of = 0.0, 0.0
    for whose, models in by_films.items():
        weights = np.array([one.weight for one in models]) / sum(one.weight for one in models)
        mean = np.sum([w * one.count for w, one in zip(weights, models, strict=True)], 0)
        count = count + mean / times[whose]
        of += weights @ [one.of for one in models] / times[whose]
    return np.asarray(count / (of + 1))


def counted(found: Iterable[Familiar]) -> int:
    """The number of out-of-fold films behind `unlike`."""
    parts = {one.whose: (len(one.held_out), one.among) for one in found}
    times = _times(parts)
    return round(sum(of / times[whose] for whose, (of, _) in parts.items()))


def _times(parts: Mapping[str, tuple[int, tuple[str, int] | None]]) -> dict[str, float]:
    """{`whose`: how often such films are there}, of (`of`, `among`) by `whose`."""
    totals = Counter()
    for of, among in parts.values():
        totals[among] += of
    return {
        whose: max(1.0, totals[among] / among[1]) if among else 1.0
        for whose, (_, among) in parts.items()
    }


def films_identified(digests: Sequence[str]) -> str:
    """16 hex digits of some films, by what identifies each."""
    return hashlib.sha256(json.dumps(sorted(digests)).encode()).hexdigest()[:16]


def save_familiar(found: Familiar | None, folder: Path) -> None:
    """Write it beside `model.keras`, to which it is tied; without it, what another fit left goes.

    Args:
        found: of the model.
        folder: the model's.
    """
    path = folder / FILE
    if found is None:
        path.unlink(missing_ok=True)
        return
    from safetensors.numpy import save

    arrays = {name: getattr(found.density, name) for name in _ARRAYS[:-1]}
    arrays |= {"noise": np.float32([found.density.noise]), "held_out": found.held_out}
    about = {"layers": found.layers, "whose": found.whose, "model": _tie(folder / "model.keras")}
    if found.among is not None:
        about["among"] = found.among
    contiguous = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(contiguous, metadata={_ABOUT: json.dumps(about)}))


def load_familiar(folder: Path, model: Path | None) -> Familiar | None:
    """Read what `save_familiar` wrote; None where there is none. Nothing in it is executed.

    Args:
        folder: the model's.
        model: its `.keras` file.

    Raises:
        UserError: it is damaged, or was made with another `model.keras`.
    """
    path = folder / FILE
    if model is None or not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})[_ABOUT])
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        if about["model"] != _tie(model):
            raise UserError(
                f"{path} was made with another model than {model.name}, so it can't say which "
                "films that knows. Give the files as they were made together, or delete it."
            )
        return _checked(arrays, about)
    except (SafetensorError, OSError, TypeError, LookupError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}). Give it as it was made with its model, "
            "or delete it: then no film is flagged as unlike the training films."
        ) from None


def _checked(arrays: dict[str, np.ndarray], about: dict) -> Familiar:
    layers = about["layers"]
    if not layers or not all(isinstance(name, str) for name in (*layers, about["whose"])):
        raise ValueError("layers")
    axes, width = arrays["axes"].shape
    shapes = {"mean": (width,), "scale": (width,), "spread": (axes,), "noise": (1,)}
    for name, values in arrays.items():
        kind = np.float64 if name == "held_out" else np.float32
        if values.dtype != kind or values.shape != shapes.get(name, values.shape):
            raise ValueError(name)
        if not np.isfinite(values).all():
            raise ValueError(name)
    held_out = arrays.pop("held_out")
    if held_out.ndim != 1 or not len(held_out) or (np.diff(held_out) < 0).any():
        raise ValueError("held_out")
    if any((arrays[name] <= 0).any() for name in ("scale", "spread", "noise")):
        raise ValueError("scale")
    density = Density(**arrays | {"noise": float(arrays["noise"][0])})
    return Familiar(density, held_out, about["whose"], tuple(layers), _among(about))


def _among(about: Mapping) -> tuple[str, int] | None:
    if "among" not in about:
        return None
    name, number = about["among"]
    if not isinstance(name, str) or type(number) is not int or number < 1:
        raise ValueError("among")
    return name, number


def _tie(model: Path) -> str:
    """What ties it to its model: a digest of the weights; layers' names, as a process counts them,
    are none of it.
    """
    try:
        state = model.stat()
        return _digest(model, state.st_size, state.st_mtime_ns)
    except (OSError, UserError):
        return ""  # whoever loads the model says what is wrong with it


@lru_cache(maxsize=64)
def _digest(model: Path, size: int, changed: int) -> str:
    digest, names = hashlib.sha256(), []
    with weights_of(model) as store:
        store.visit(names.append)
        for name in sorted(names):
            if isinstance(store[name], h5py.Dataset):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(store[name][()]))
    return digest.hexdigest()[:16]
