"""What a recipe works with: the plan, the target, and networks whose trunks have learnt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle
from types import MappingProxyType
from typing import Any

import numpy as np

from cxrkeras.data.images import Images
from cxrkeras.data.labels.targets import Targets
from cxrkeras.data.pipeline import Part
from cxrkeras.models.network import TARGET, Network, build_network
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import Target
from cxrkeras.training.fitting.compute import Compute, Twins
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

    @cached_property
    def compute(self) -> Compute:
        """How networks learn."""
        return Compute.of(self.plan.experiment)

    def under(self, plan: Plan) -> "Session":
        """The same, under a plan of the same network and images, which are read only once."""
        other = replace(self, plan=plan)
        vars(other).update({name: vars(self)[name] for name in ("images",) if name in vars(self)})
        return other

    def network(self) -> Network:
        """A new network for the target, with its trunks as the stages left them."""
        return self._loaded(self.built())

    def twins(
        self, compute: Compute | None = None, build: Callable[[], Any] | None = None
    ) -> Twins:
        """Such a network, to be kept, and the one that learns in its place.

        Args:
            compute: how it learns, if not as chosen.
            build: makes another network, with `logits`, and with `trunks`: all of the target's once
                or several times over.
        """
        twins = Twins(build or self.built, compute or self.compute)
        self._loaded(twins.kept)
        twins.teach()
        return twins

    def built(self, further: Mapping[str, int] = MappingProxyType({})) -> Network:
        """A new network for the target with random weights.

        Args:
            further: outputs beside the target's, and their numbers of labels.
        """
        target = self.target
        return build_network(
            self.plan.architecture,
            {TARGET: len(target.dataset.labels), **further},
            three_way={TARGET: target.targets.three_way},
        )

    def _loaded(self, network: Any) -> Any:
        starts = zip(self.plan.architecture.backbones, self.weights, strict=True)
        for trunk, (backbone, weights) in zip(network.trunks, cycle(starts), strict=False):
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
