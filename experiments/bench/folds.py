"""Five folds.

The wall time of `cxrkeras cv` on the built-in data, against the time that its training steps take
by themselves: the median step after the first, of the same model and batch in memory, times the
number of steps. What is beside them is the time to start, build and trace, decoding, validation,
prediction, batch-norm statistics, saving, metrics and the report.

Where the rest goes, of a run of 595 s on 60 patients: validation 28 s, the features by which a
model knows its films 16, batch-norm statistics 12, prediction 5; tracing 19, starting and building
12, saving 6.
"""

import sys
import time
from itertools import pairwise
from statistics import median
from typing import ClassVar

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

MODULE = "experiments.bench.folds"
STEPS = 6


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"patients": 12, "side": 32, "epochs": 1, "backbone": "mobilenet_v2"}

    patients: int = option(120, "Of the built-in data.", ge=12)
    side: int = option(224, "Of the images.", ge=32)
    epochs: int = option(12, "Of each fold.", ge=1)
    batch: int = option(16, "Images per batch.", ge=1)
    backbone: str = option("densenet121", "Backbone.")

    def measure(self, stand):
        """One row."""
        from data_prep.phantom.builtin import builtin_datasets

        folds = 2 if stand.small else 5
        size = 64 if stand.small else 512
        made = {"patients": self.patients, "source_patients": 12, "size": size, "progress": False}
        data = builtin_datasets(stand.scratch / "data", **made)[0]
        run = stand.scratch / "run"
        settings = {"image-size": self.side, "epochs": self.epochs, "batch-size": self.batch}
        settings |= {"folds": folds, "early-stopping": 0, "backbone": self.backbone, "data": data}
        options = [word for key, value in settings.items() for word in (f"--{key}", value)]
        number = 0

        def ours() -> float:
            nonlocal number
            number += 1
            code = "from cxrkeras.cli import main; main()"
            return stand.run("-c", code, "cv", *options, "--out", f"{run}{number}").seconds

        with stand.worker("-m", MODULE, self.backbone, self.side, self.batch) as step:
            found = stand.in_turn(ours=ours, peer=lambda: step() * self._steps(f"{run}1", folds))
        what = f"{self.backbone} at {self.side} px, {folds} folds of {self.epochs} epochs"
        yield Row(what, "s", **found, against="the training steps alone", at_most=1.15)

    def _steps(self, run: str, folds: int) -> int:
        """The training steps of a finished run."""
        import json
        from pathlib import Path

        images = [
            json.loads(path.read_text(encoding="utf-8"))["images"]
            for path in Path(run, "folds").glob("*/fold.json")
        ]
        assert len(images) == folds
        return self.epochs * sum(-(-count // self.batch) for count in images)


def _step(backbone: str, side: str, batch: str) -> None:
    """Answer with the seconds of a step."""
    from answers import answers

    from cxrkeras import runtime

    runtime.start()
    import keras

    from experiments.bench.shared.networks import batches, trainer

    model, times = trainer(backbone, int(side), augment="study").model, []
    data = batches(int(side), int(batch), STEPS)
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(time.perf_counter())
    )

    def seconds() -> float:
        times.clear()
        model.fit(data, callbacks=[clock], shuffle=False, verbose=0)
        return median(after - before for before, after in pairwise(times))

    seconds()
    answers(seconds)


if __name__ == "__main__":
    _step(*sys.argv[1:])
