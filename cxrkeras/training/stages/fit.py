"""One source stage: its parts, its fit, and its scores on the archive's own split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.labels.meanings import Meanings
from cxrkeras.data.labels.merged import merged_labels, places_in
from cxrkeras.data.labels.targets import targets_from_codes
from cxrkeras.data.pipeline import Part, head_widths, image_batches, three_way_labels
from cxrkeras.evaluation.scores.predictions import Predictions
from cxrkeras.models.architecture import Architecture
from cxrkeras.models.network import Network, build_network
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.runs.experiment import Experiment
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import learned_targets
from cxrkeras.training.fitting.compute import Compute, Twins
from cxrkeras.training.fitting.guessing import learn_parts
from cxrkeras.training.fitting.learner import Learner
from cxrkeras.training.fitting.progress import PredictLines
from cxrkeras.training.images import open_images
from cxrkeras.training.plan import Plan
from cxrkeras.training.stages.split import Shares, share_out

MERGED = "merged"
"""The choice of one label space for several datasets, and the head of a merged label space."""


@dataclass(frozen=True)
class Fitted:
    """A trained stage.

    Args:
        trunk: the trained trunk.
        history: one row per epoch.
        images: how many images it was trained on.
        scores: for each dataset, where its scored images come from, and their predictions.
    """

    trunk: keras.Model
    history: pd.DataFrame
    images: int
    scores: dict[str, tuple[str, Predictions]]


def fit_stage(
    plan: Plan,
    architecture: Architecture,
    datasets: Mapping[str, PreparedDataset],
    before: Weights | None,
    *,
    name: str,
    checkpoint: Path,
) -> Fitted:
    """Train a trunk on one dataset, or on several together.

    Args:
        plan: loss, augmentation and settings.
        architecture: the network's, with one trunk.
        datasets: by name.
        before: the weights from which it starts.
        name: the stage's name, for messages.
        checkpoint: a file that keeps the state after each epoch, from which a killed training
            resumes.

    Raises:
        UserError: data or weights can't be used, or training diverges.
    """
    experiment = plan.experiment
    sources = [_Source(key, dataset, plan, architecture) for key, dataset in datasets.items()]
    heads = _heads(sources, experiment)
    train = [s.part(heads, s.shares.train) for s in sources]
    validation = [s.part(heads, s.shares.validation) for s in sources if s.shares.validation.any()]
    compute, labels, asked = Compute.of(experiment), head_widths(train), three_way_labels(train)
    twins = Twins(lambda: build_network(architecture, labels, three_way=asked), compute)
    if before:
        load_trunk(twins.kept.trunks[0], str(architecture.backbones[0]), before)
    twins.teach()
    learner = Learner(
        twins.learning.logits,
        plan,
        train,
        augment=plan.source_augment,
        compute=compute,
        teaching=twins.learning.teaching,
    )

    history, _ = learn_parts(
        learner,
        train,
        validation,
        epochs=experiment.source_epochs or experiment.epochs,
        learning_rate=experiment.source_learning_rate,
        seed=experiment.seed,
        title=f"source stage {name}",
        checkpoint=checkpoint,
    )
    twins.learn()
    scores = {
        s.name: (s.shares.split, _predict(twins.kept, s, heads, experiment))
        for s in sources
        if s.shares.scored.any()
    }
    images = sum(len(part.index) for part in train)
    return Fitted(twins.kept.trunks[0], history, images, scores)


class _Source:
    """A dataset of the stage: its images, its targets, and how they are split."""

    def __init__(self, name: str, dataset: PreparedDataset, plan: Plan, architecture: Architecture):
        self.name, self.dataset = name, dataset
        self.targets = learned_targets(plan.experiment, dataset)
        self.shares: Shares = share_out(
            dataset, self.targets.known, plan.source_validation, plan.experiment.seed, name=name
        )
        self.images = open_images(
            plan.experiment, dataset, architecture.image_size, architecture.inputs
        )

    def part(self, heads: "_Heads", rows: np.ndarray) -> Part:
        head, labels, places = heads[self.name]
        targets = self.targets[rows].widened(places, len(labels))
        return Part(head, self.images, np.flatnonzero(rows), targets)


_Heads = dict[str, tuple[str, tuple[str, ...], list[int]]]


def _heads(sources: list[_Source], experiment: Experiment) -> _Heads:
    """{dataset: its head, the head's labels, the places of its own}; with `joint = merged` they
    share one head.
    """
    if experiment.joint != MERGED or len(sources) == 1:
        own = {s.name: s.dataset.labels for s in sources}
        return {name: (name, labels, list(range(len(labels)))) for name, labels in own.items()}
    meaning = Meanings.of(s.dataset.spellings for s in sources)
    union = merged_labels({s.name: s.dataset.labels for s in sources}, meaning)
    return {s.name: (MERGED, union, places_in(union, s.dataset.labels, meaning)) for s in sources}


def _predict(
    network: Network, source: _Source, heads: _Heads, experiment: Experiment
) -> Predictions:
    dataset, rows = source.dataset, np.flatnonzero(source.shares.scored)
    batches = image_batches(source.images, rows, experiment.batch_size)
    lines = PredictLines(f"source {source.name}: scoring its {source.shares.split} images")
    try:
        logits = network.logits.predict(batches, callbacks=[lines], verbose=0)
    finally:
        lines.close()
    head, _, places = heads[source.name]
    truth = targets_from_codes(dataset.codes[rows], uncertain="ignore", blank=experiment.blank)
    return Predictions(
        images=tuple(dataset.images[rows].tolist()),
        patients=tuple(dataset.patients[rows].tolist()),
        folds=(source.shares.split,) * len(rows),
        labels=dataset.labels,
        prob=expit(logits[head][:, places]),
        truth=truth.known,
    )
