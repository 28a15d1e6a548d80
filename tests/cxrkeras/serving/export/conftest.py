"""An ensemble of two small models, exported once for all layers of the serving proof."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.serving.export.run import Exported, export_model
from cxrkeras.serving.predict.films import prepare_film
from cxrkeras.serving.predictor.card import Card
from cxrkeras.serving.predictor.loaded import load_card
from cxrkeras.serving.predictor.predictor import Predictor
from cxrkeras.serving.predictor.read import read_card
from tests.cxrkeras.serving.export.picture_files import png
from tests.cxrkeras.serving.served_runs import PREPARED, write_model


@dataclass(frozen=True)
class Proof:
    """What was exported, and what every runtime must say of the same images.

    Args:
        card, model: of the ensemble.
        exported: as SavedModel.
        contents: 5 PNG files, not square.
        images: (5, S, S, 1) float32, what `prep` and training make of them.
        probability: (5, K), Keras's answer.
    """

    card: Card
    model: Predictor
    exported: Exported
    contents: list[bytes]
    images: np.ndarray
    probability: np.ndarray

    @property
    def folder(self) -> Path:
        return self.exported.folders[0]


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory) -> Card:
    """Of a dataset that was prepared with every choice `prep` has."""
    out = tmp_path_factory.mktemp("models")
    prepared = {"image_size": PREPARED, "pad": True, "stretch": [2, 98]}
    folders = [write_model(out / str(seed), seed, preparation=prepared) for seed in (0, 1)]
    card = read_card(folders[0])
    return replace(card, kind="ensemble", file=None, members=tuple(map(read_card, folders)))


@pytest.fixture(scope="session")
def proof(ensemble, tmp_path_factory) -> Proof:
    home = tmp_path_factory.mktemp("served") / "chest"
    rule = parse_rule("youden")
    exported = export_model(
        ensemble, home, ["saved-model"], rule, [], describe=lambda differences: "card"
    )
    grey = np.random.default_rng(0).integers(0, 256, (5, 31, 45), np.uint8)
    contents = [png(one) for one in grey]
    model = load_card(ensemble)
    images = np.stack([_prepared(content, model, home.parent) for content in contents])
    return Proof(ensemble, model, exported, contents, images, model.predict(images))


def _prepared(content: bytes, model: Predictor, folder: Path) -> np.ndarray:
    (folder / "film.png").write_bytes(content)
    film = prepare_film(folder / "film.png", model.preparation, model.image_size)
    return film.image[..., None].astype(np.float32)
