"""Networks to measure with, untrained: what a step or a prediction costs doesn't depend on that."""

from pathlib import Path

import numpy as np

LABELS = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Edema")


def network(backbone: str, side: int):
    """The network that `cv --backbone` builds by default, for 7 labels."""
    from cxrkeras.models.architecture import Architecture
    from cxrkeras.models.network import TARGET, build_network
    from cxrkeras.registry import BACKBONES, HEADS

    parts = Architecture((BACKBONES.make(backbone),), HEADS.make("gap"), side)
    return build_network(parts, {TARGET: len(LABELS)})


def trainer(backbone: str, side: int, *, augment: str = "none", precision: str = "float32"):
    """A compiled `Trainer` of it, with bW-BCE."""
    from cxrkeras.registry import LOSSES, PRESETS
    from cxrkeras.training.fitting.compute import Compute
    from cxrkeras.training.fitting.trainer import Trainer

    compute = Compute(precision)
    with compute.scope():
        logits = network(backbone, side).logits
    loss, preset = LOSSES.make("bw_bce"), PRESETS.make(augment)
    return Trainer(logits, loss=loss, augment=preset, compute=compute)


def batches(side: int, batch: int, steps: int):
    """`steps` times the same random batch, in memory; as in a run, without tf.data's autotuner."""
    from cxrkeras import runtime

    runtime.import_tensorflow()  # beside JAX it must leave the GPU alone
    import tensorflow as tf

    from cxrkeras.data.images import untuned
    from cxrkeras.models.network import TARGET

    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch, side, side, 1)).astype("float32")
    targets = (random.random((batch, len(LABELS))) < 0.1).astype("float32")
    return untuned(tf.data.Dataset.from_tensors((images, {TARGET: targets})).repeat(steps))


def save_model(folder: Path, backbone: str, side: int) -> Path:
    """A model folder, as `cxrkeras predict` takes it."""
    from cxrkeras.data.model_json import write_model_json
    from cxrkeras.training.recipes.shared.saving import save_keras

    folder.mkdir()
    said = save_keras(network(backbone, side).probability, folder)
    points = {label: {"threshold": 0.5, "from": "none fitted"} for label in LABELS}
    facts = {
        "labels": list(LABELS),
        "image_size": side,
        "training_prevalence": dict.fromkeys(LABELS, 0.1),
        "operating_points": {"prevalence": points},
        "preparation": {"image_size": side, "pad": False, "stretch": None},
    }
    write_model_json(folder, facts | said)
    return folder
