"""What a recipe works with: the plan, the target, and networks whose trunks have learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cxrkeras.data.images import Images
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part
from cxrkeras.models.network import TARGET, Network, build_network
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import Target
from cxrkeras.training.images import open_images
from cxrkeras.training.plan import Plan


@dataclass(frozen=True)
class Session:
    """One target to learn.

    Args:
        plan: what is to be done.
        target: the data.
        weights: the weights from which each trunk starts; None for a random start.
        start: what identifies those weights, as JSON.
    """

    plan: Plan
    target: Target
    weights: tuple[Weights | None, ...]
    start: Sequence

    def network(self) -> Network:
        """A new network for the target, with its trunks as the stages left them."""
        architecture, target = self.plan.architecture, self.target
        network = build_network(
            architecture,
            {TARGET: len(target.dataset.labels)},
            three_way={TARGET: target.targets.three_way},
        )
        pairs = zip(network.trunks, architecture.backbones, self.weights, strict=True)
        for trunk, backbone, weights in pairs:
            if weights:
                load_trunk(trunk, str(backbone), weights)
        return network

    @cached_property
    def images(self) -> Images:
        """The target's images and further inputs."""
        architecture = self.plan.architecture
        size, inputs = architecture.image_size, architecture.inputs
        return open_images(self.plan.experiment, self.target.dataset, size, inputs)


def part(inputs, rows: np.ndarray, targets: Targets) -> Part:
    """Some rows of the target."""
    return Part(TARGET, inputs, rows, targets[rows])
