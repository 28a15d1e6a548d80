"""Crafted `model.json` and harmed weights of all kinds, through the verbs that read them."""

import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.command import called
from tests.fuzz.crew import MEMORY
from tests.fuzz.mutate import harmed

_SIDE = 24
_LABELS = ("Mass", "Edema")
_VALUES = (
    None,
    True,
    0,
    -1,
    7,
    10**400,
    1e308,
    math.nan,
    math.inf,
    "",
    "text",
    "\0\n\x1b[2J",
    [],
    [99, 1],
    [[]],
    ["Mass", "Mass"],
    {},
    {"Mass": "x"},
    {"": {"": {}}},
    {"threshold": math.nan, "from": 3},
)


class Mutants:
    """Model mutants of one seed."""

    memory = MEMORY + 8 * 2**30  # TensorFlow reserves addresses as it starts its threads

    def __init__(self, seed: int, folder: Path):
        from cxrkeras import runtime

        runtime.start()
        import keras

        keras.utils.set_random_seed(0)
        self._seed, self._folder, self._library = seed, folder, keras
        self._whole = folder / "whole"
        shutil.rmtree(self._whole, ignore_errors=True)
        self._whole.mkdir()
        self._write_model()
        self._write_weights()
        values = np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8)
        self._film = folder / "film.png"
        Image.fromarray(values).resize((300, 360)).save(self._film)
        self._words = self._predict()
        if (found := self.read())[0] != "accepted":
            raise RuntimeError(f"The model isn't accepted before it is harmed: {found}")

    def _write_model(self) -> None:
        layers = self._library.layers
        model = self._library.Sequential(
            [
                self._library.Input((_SIDE, _SIDE, 1)),
                layers.Conv2D(4, 5, strides=2, activation="relu"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(len(_LABELS), name="target"),
                layers.Activation("sigmoid"),
            ]
        )
        model.save(self._whole / "model.keras")
        point = {"threshold": 0.4, "from": "Youden on 90 predictions, 9 positive"}
        reached = {"sensitivity": 0.8, "specificity": None}
        self._facts = {
            "labels": list(_LABELS),
            "image_size": _SIDE,
            "trained_on": "ours",
            "training_prevalence": dict.fromkeys(_LABELS, 0.1),
            "inflation": dict.fromkeys(_LABELS, 3.0),
            "preparation": {"image_size": 40, "pad": False, "stretch": [1, 99]},
            "operating_points": {
                "youden": dict.fromkeys(_LABELS, point | {"cross_fitted": reached})
            },
            "calibration": None,
            "performance": None,
        }
        (self._whole / "model.json").write_text(json.dumps(self._facts))

    def _write_weights(self) -> None:
        import h5py
        from safetensors.numpy import save_file

        keras = self._library
        model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(9)])
        model.save_weights(self._whole / "trunk.weights.h5")
        small = np.ones((2, 2), np.float32)
        names = [
            f"features.denseblock{block}.denselayer{layer}.conv1.weight"
            for block, count in enumerate((6, 12, 24, 16), start=1)
            for layer in range(1, count + 1)
        ]
        save_file(dict.fromkeys(names, small), self._whole / "torch.safetensors")
        with h5py.File(self._whole / "keras2.h5", "w") as file:
            file.attrs["layer_names"] = np.array([b"block5_conv3", b"out"])
            file.attrs["model_config"] = json.dumps({"config": {"layers": []}})
            for layer in ("block5_conv3", "out"):
                group = file.create_group(layer)
                group.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode()])
                group[f"{layer}/kernel:0"] = small

    def make(self, number: int) -> str:
        """Write a mutant; gives what it is."""
        rng = np.random.default_rng([self._seed, 3, number])
        model = self._folder / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(self._whole, model)
        kind = ("json", "keras", "inside", "weights", "safetensors", "keras2")[number % 6]
        return f"{kind}: {getattr(self, f'_{kind}')(model, rng)}"

    def read(self) -> tuple[str, str]:
        """Ask the verb; of a prediction, the numbers."""
        answer = self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        kind, detail = called(self._words)
        if kind == "accepted" and self._words[0] == "predict":
            text = answer.read_text()
            for image in json.loads(text)["images"]:
                for label in image["labels"].values():
                    if label["probability"] is None or not 0 <= label["probability"] <= 1:
                        return "non-finite", f"probability {label['probability']}"
        return kind, detail

    def _predict(self) -> list[str]:
        words = ["predict", str(self._folder / "model"), str(self._film), "--workers", "0"]
        if not (self._folder / "model").exists():
            shutil.copytree(self._whole, self._folder / "model")
        return [*words, "--out", str(self._folder / "answer.json")]

    def _json(self, model: Path, rng: np.random.Generator) -> str:
        self._words = self._predict()
        if rng.random() < 0.2:
            self._words = ["weights", "show", str(model / "model.keras")]
        path = model / "model.json"
        if rng.random() < 0.15:
            depth = int(rng.choice([900, 5000, 200_000]))
            path.write_text('{"labels": ' + "[" * depth + "]" * depth + "}")
            return f"{depth} deep"
        if rng.random() < 0.2:
            content, said = harmed(path.read_bytes(), rng)
            path.write_bytes(content)
            return said
        facts, said = json.loads(path.read_text()), []
        for _ in range(int(rng.integers(1, 3))):
            said.append(_replaced(facts, rng))
        path.write_text(json.dumps(facts))
        return ", ".join(said)

    def _keras(self, model: Path, rng: np.random.Generator) -> str:
        return self._harm(model / "model.keras", self._predict(), rng)

    def _weights(self, model: Path, rng: np.random.Generator) -> str:
        path = model / "trunk.weights.h5"
        return self._harm(path, ["weights", "show", str(path)], rng)

    def _safetensors(self, model: Path, rng: np.random.Generator) -> str:
        path = model / "torch.safetensors"
        return self._harm(path, self._import(path, "densenet121", rng), rng)

    def _keras2(self, model: Path, rng: np.random.Generator) -> str:
        path = model / "keras2.h5"
        return self._harm(path, self._import(path, "vgg16", rng), rng)

    def _import(self, path: Path, backbone: str, rng: np.random.Generator) -> list[str]:
        """Seldom as far as to a built network, which takes seconds."""
        if rng.random() < 0.8:
            return ["weights", "show", str(path)]
        out = self._folder / "imported"
        shutil.rmtree(out, ignore_errors=True)
        words = ["weights", "import", str(path), "--as", backbone, "--image-size", "32"]
        return [*words, "--out", str(out)]

    def _harm(self, path: Path, words: list[str], rng: np.random.Generator) -> str:
        self._words = words
        content, said = harmed(path.read_bytes(), rng)
        path.write_bytes(content)
        return f"{said} ({' '.join(words[:2])})"

    def _inside(self, model: Path, rng: np.random.Generator) -> str:
        """A part of a `.keras` archive, which its checksum would have protected."""
        self._words = self._predict()
        path = model / "model.keras"
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = str(rng.choice(["config.json", "model.weights.h5", "model.weights.h5"]))
        if name == "config.json" and rng.random() < 0.7:
            config = json.loads(parts[name])
            said = _replaced(config, rng)
            parts[name] = json.dumps(config).encode()
        else:
            parts[name], said = harmed(parts[name], rng)
        file = io.BytesIO()
        kind = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
        with zipfile.ZipFile(file, "w", kind) as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        path.write_bytes(file.getvalue())
        return f"{name} {said}"


def _replaced(tree: dict, rng: np.random.Generator) -> str:
    """Put something else in a random place of JSON; gives the place and what."""
    places = list(_places(tree))
    above, key, place = places[int(rng.integers(len(places)))]
    if rng.random() < 0.15:
        del above[key]
        return f"{place} dropped"
    value = _VALUES[int(rng.integers(len(_VALUES)))]
    old = above[key]
    if type(old) is int and rng.random() < 0.5:
        value = int(rng.choice([0, -1, 1, 2**31, 2**62, old * 1000, old + 1]))
    above[key] = value
    return f"{place} = {str(value)[:30]!r}"


def _places(tree, path: str = ""):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key, f"{path}.{key}".strip(".")
        if isinstance(value, dict | list):
            yield from _places(value, f"{path}.{key}")
