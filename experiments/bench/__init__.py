"""What is fast and what isn't, measured: a module for each measurement, one command for all.

Run: python -m experiments.bench [NAME…] [--device cpu|gpu] [--small] [--repeats N]

A measurement is a part: a module of this folder with a class `Part` on `Measurement`, whose
docstring is the head of its section in `docs/performance.md`. What several share lies in
`shared/`, and programs that run in the peers' environment, which lacks this package, in `peers/`.
Each measurement has a process of its own.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from data_prep.registry import Part, Registry
from experiments.bench.shared.row import Row
from experiments.bench.shared.stand import Missing, Stand

__all__ = ["MEASUREMENTS", "Measurement", "Missing", "Row", "Stand"]

MEASUREMENTS: Registry = Registry("measurement", "experiments.bench", "NAME")


class Measurement(Part):
    """A section of `docs/performance.md`; its options are fields: `predict:files=50` sets one.

    Attributes:
        small: the options of the smoke run (`--small`), which takes seconds, needs nothing but the
            repository, and checks that the measurement works; its times mean nothing.
        devices: what it runs on; `cpu`, `gpu` (CUDA, Keras on JAX) or both.
        peers: whether it needs the peers' environment.
    """

    small: ClassVar[Mapping[str, Any]] = {}
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    peers: ClassVar[bool] = False

    @abstractmethod
    def measure(self, stand: Stand) -> Iterator[Row]:
        """Measure, and yield each row as soon as it is known.

        Both sides of a row must take turns (`stand.in_turn`), and end with comparable results.

        Raises:
            Missing: something that it needs isn't here, e.g. the real files.
        """
