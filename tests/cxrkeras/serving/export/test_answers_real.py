"""Every way to ask a model, on real files: all must say the same.

The model is a small one of chance. To ask a trained one instead, which takes some minutes, name it:
CXRKERAS_MODEL=RUN_OR_MODEL pytest -s tests/cxrkeras/serving/export/test_answers_real.py
"""

import csv
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from cxrkeras.cli import main
from cxrkeras.data.images import Images
from cxrkeras.serving.export.portable import run_litert, run_onnx
from cxrkeras.serving.export.saved_model import SavedModel
from cxrkeras.serving.predictor.read import read_card
from cxrkeras.serving.server.client import as_png
from tests.cxrkeras.serving.served_runs import write_model

FLOAT, ENCODED = 1e-5, 1e-3


def call(*words) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    if named := os.environ.get("CXRKERAS_MODEL"):
        return Path(named)
    size = {"image_size": 512, "pad": False, "stretch": None}
    return write_model(tmp_path_factory.mktemp("model") / "chance", preparation=size)


@pytest.fixture(scope="module")
def files(real):
    """50 real files, 8 of them RGBA: originals, reduced ones, DICOM of several syntaxes."""
    reduced = sorted(real("nih_target", "images").glob("*.png"))[::27][:20]
    chest = real("dicom", "chest")
    dicom = [path for path in sorted(chest.glob("*.dcm")) if path.stem not in ("test4", "RG1_UNCI")]
    return [*sorted(real("nih_originals").glob("*.png")), *reduced, *dicom]


@pytest.fixture(scope="module")
def prepared(files, model, tmp_path_factory):
    """{file: its image as `cxrkeras prep` makes it for this model}; copies are left out there."""
    home = tmp_path_factory.mktemp("prepared")
    (home / "films").mkdir()
    names = [f"{number:02d}{path.suffix}" for number, path in enumerate(files)]
    for name, path in zip(names, files, strict=True):
        shutil.copyfile(path, home / "films" / name)
    pd.DataFrame({"image": names, "Mass": 0}).to_csv(home / "labels.csv", index=False)
    card = read_card(model)
    prep = card.preparation
    words = ["--image-size", prep.image_size, *(["--pad"] if prep.pad else [])]
    words += ["--stretch", *prep.stretch] if prep.stretch else []
    linkage = home / "linkage.csv"
    call(
        *("prep", "table", "--images", home / "films", "--labels", home / "labels.csv"),
        *("--out", home / "data", "--linkage", linkage, "--key-file", home / "key", *words),
    )
    with linkage.open(encoding="utf-8") as table:
        pairs = [(row["file"], row["image"]) for row in csv.DictReader(table)]
    return {files[int(Path(file).stem)]: home / "data" / image for file, image in pairs if image}


@pytest.fixture(scope="module")
def keras_says(prepared, model):
    """(images (n, S, S, 1), probability (n, K)): loaded and averaged by Keras alone."""
    card = read_card(model)
    images = Images([str(path) for path in prepared.values()], card.image_size)
    images = np.asarray(images.take(np.arange(len(prepared))), np.float32)
    told = []
    for member in card.leaves:
        loaded = keras.models.load_model(member.file, compile=False)
        told.append(loaded.predict(images, batch_size=8, verbose=0).astype(np.float64))
        keras.backend.clear_session()
    return images, np.mean(told, axis=0)


@pytest.mark.slow
@pytest.mark.real
def test_all_ways_to_ask_say_the_same(files, prepared, keras_says, model, tmp_path, capsys):
    images, expected = keras_says
    assert len(files) == 50
    assert len(prepared) >= 45  # one film lies here in two codecs
    labels = read_card(model).labels

    call("predict", model, *prepared, "--out", tmp_path / "predicted.csv")
    table = pd.read_csv(tmp_path / "predicted.csv")
    predicted = table[[f"prob_{label}" for label in labels]].to_numpy()

    formats = ("--format", "saved-model", "--format", "litert", "--format", "onnx")
    call("export", model, "--out", tmp_path / "out", "--name", "m", *formats)
    home = tmp_path / "out" / "m"
    saved = SavedModel(home / "1")
    contents = [p.read_bytes() if p.suffix == ".png" else as_png(p) for p in prepared]

    def in_parts(ask) -> np.ndarray:
        starts = range(0, len(images), 8)
        return np.concatenate([ask(slice(start, start + 8)) for start in starts])

    answers = {
        "predict": (predicted, FLOAT),
        "serving_default": (in_parts(lambda rows: saved.probability(images[rows])), FLOAT),
        "onnx": (in_parts(lambda rows: run_onnx(home / "onnx/1", images[rows])), FLOAT),
        "litert": (in_parts(lambda rows: run_litert(home / "litert/1", images[rows])), FLOAT),
        "encoded": (in_parts(lambda rows: saved.encoded(contents[rows])["probability"]), ENCODED),
    }
    capsys.readouterr()
    for name, (probability, limit) in answers.items():
        difference = np.abs(probability - expected).max()
        with capsys.disabled():
            print(f"\n{name}: {difference:.1e} from Keras on {len(images)} files", end="")
        assert difference <= limit, name
