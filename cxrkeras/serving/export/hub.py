"""A folder that huggingface_hub uploads: `model.keras`, which Keras alone opens, and its card."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from cxrkeras.data.inputs import IMAGE
from cxrkeras.data.model_json import write_model_json
from cxrkeras.serving.export.saved_model import Described
from cxrkeras.serving.predictor.card import Card

MODEL = "model.keras"


def write_hub(described: Described, folder: Path) -> None:
    """Write `model.keras`, an ensemble as one graph, and `model.json`: a model folder of ours too.

    Args:
        described: the model.
        folder: that exists.
    """
    described.model.save(folder / MODEL)
    write_model_json(folder, dict(described.facts))


def model_facts(card: Card, facts: Mapping) -> dict:
    """What `model.json` is to say of the one model: its score, too, and whose layers it has.

    Args:
        card: of the model or ensemble.
        facts: of the export, which count members.
    """
    packages = sorted({name for leaf in card.leaves for name in leaf.facts.get("package") or ()})
    measured = card.performance()
    return {
        **{name: fact for name, fact in facts.items() if name != "members"},
        **({"package": packages} if packages else {}),
        **({"performance": measured} if measured else {}),
    }


def run_hub(
    folder: Path, images: np.ndarray, known: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """What `model.keras` gives for (N, S, S, 1) images, loaded anew."""
    model = keras.models.load_model(folder / MODEL, compile=False)
    return np.asarray(model({IMAGE: images, **known} if known else images, training=False))
