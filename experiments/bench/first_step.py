"""First training step.

From the built graph to the end of the first step (compiling, tracing, optimising), with the
switches that `runtime.start` sets and with TensorFlow's defaults; each in processes of its own. The
steady step is the median of those after it.
"""

import json
import sys
import time
from statistics import median
from typing import ClassVar

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

STEPS = 12


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"side": 32, "batch": 2, "backbone": "mobilenet_v2"}

    side: int = option(64, "Of the images.", ge=32)
    batch: int = option(16, "Images per batch.", ge=1)
    backbone: str = option("densenet121", "Backbone.")

    def measure(self, stand):
        """A row for the first step and one for the steady one."""
        settings = {"ours": (True, True), "optimised": (False, True), "defaults": (False, False)}
        if stand.small:
            del settings["optimised"]
        times: dict[str, list[dict]] = {name: [] for name in settings}
        for _ in range(stand.repeats):
            for name, (no_optimizer, deterministic) in settings.items():
                asked = [no_optimizer, deterministic, self.side, self.batch, self.backbone]
                run = stand.run("-m", "experiments.bench.first_step", json.dumps(asked))
                times[name].append(run.answer)
        what = f"{self.backbone}, {self.batch} images of {self.side} px"
        peers = {
            "optimised": "with TensorFlow's graph optimiser",
            "defaults": "with TensorFlow's defaults (graph optimiser, undetermined order of sums)",
        }
        for step in ("first", "steady"):
            figures = {name: [one[step] for one in each] for name, each in times.items()}
            for name in list(settings)[1:]:
                row = f"{step} step, {what}"
                yield Row(row, "s", figures["ours"], figures[name], against=peers[name])


def _steps(no_optimizer: bool, deterministic: bool, side: int, batch: int, backbone: str) -> dict:
    """Seconds of the first step, and of a step after it, in this process."""
    import numpy as np
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if no_optimizer:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    import keras

    from experiments.bench.shared.networks import batches, trainer

    learner = trainer(backbone, side, augment="study")
    times = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(time.perf_counter())
    )
    data = batches(side, batch, STEPS + 1)
    learner.model.fit(data, epochs=1, callbacks=[clock], shuffle=False, verbose=0)
    first, *steady = np.diff(times).tolist()
    return {"first": first, "steady": median(steady)}


if __name__ == "__main__":
    print(json.dumps(_steps(*json.loads(sys.argv[1]))))
