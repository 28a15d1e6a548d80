"""What a recipe works with: the plan, the target, and networks whose trunks have learnt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cxrkeras.data.dataset import PreparedDataset
from cxrkeras.data.images import Images
from cxrkeras.data.labels.targets import Targets, stacked
from cxrkeras.data.pipeline import Joined, Part
from cxrkeras.models.network import TARGET, Network, build_network
from cxrkeras.models.weights.trunk import load_trunk
from cxrkeras.runs.sources import Weights
from cxrkeras.runs.target import Target
from cxrkeras.training.fitting.compute import Compute, Twins
from cxrkeras.training.images import open_images
from cxrkeras.training.plan import Plan
from cxrkeras.training.stages.rows import SourceRows


class Learnt(NamedTuple):
    """What a fit learns from.

    Args:
        index: (n,) places in the target's rows, followed by those of other datasets.
        targets: of these.
        weights: (n,) how often each is drawn, in proportion; None for all alike.
    """

    index: np.ndarray
    targets: Targets
    weights: np.ndarray | None


@dataclass(frozen=True)
class Session:
    """One target to learn.

    Args:
        plan: what is to be done.
        target: the data.
        weights: the weights from which each trunk starts; None for a random start.
        start: what identifies those weights, as JSON.
        rows: of other datasets, which are learnt from too.
    """

    plan: Plan
    target: Target
    weights: tuple[Weights | None, ...]
    start: Sequence
    rows: tuple[SourceRows, ...] = ()

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
        return self.images_of(self.target.dataset)

    def images_of(self, dataset: PreparedDataset) -> Images:
        """A dataset's images and further inputs, as the target's network takes them."""
        architecture = self.plan.architecture
        size, inputs = architecture.image_size, architecture.inputs
        return open_images(self.plan.experiment, dataset, size, inputs)

    @cached_property
    def all_images(self) -> Images | Joined:
        """The target's images, then those of `rows`."""
        return Joined([self.images, *(self.images_of(one.dataset) for one in self.rows)])

    def learnt(self, train: np.ndarray, targets: Targets) -> Learnt:
        """Some rows of the target, and all of `rows`.

        Args:
            train: (n,) rows of the target.
            targets: (N, K) of all its rows.
        """
        if not self.rows:
            return Learnt(train, targets[train], None)
        taught, often = self.beside
        count = len(self.target.dataset)
        weights = np.append(np.ones(len(train)), often)
        return Learnt(
            np.append(train, np.arange(count, count + len(taught))),
            stacked([targets[train], taught]),
            None if (weights == 1).all() else weights,
        )

    @property
    def beside(self) -> tuple[Targets, np.ndarray] | None:
        """The targets of `rows`, and how often they are drawn; None if there are none."""
        if not self.rows:
            return None
        weights = np.repeat([r.weight for r in self.rows], [len(r) for r in self.rows])
        return stacked([rows.targets for rows in self.rows]), weights

    @property
    def facts(self) -> dict:
        """What `fold.json` says of `rows`: how many, and the films of their datasets."""
        if not self.rows:
            return {}
        films = sorted({rows.whole.films for rows in self.rows})
        return {"source_rows": {r.name: len(r) for r in self.rows}, "learnt_from": films}


def part(inputs, rows: np.ndarray, targets: Targets) -> Part:
    """Some rows of the target."""
    return Part(TARGET, inputs, rows, targets[rows])
