"""What `cxrkeras.runtime` switches cost: first and steady DenseNet121 training step.

Run: python experiments/bench/first_step.py [SIDE [BATCH [BACKBONE]]]. A process of its own for each
setting. `first` is the time from the built graph to the end of the first training step (compiling,
tracing, optimising); `steady` the median of the next steps. Prints seconds and ratios.
"""

import json
import subprocess
import sys
import time

STEPS = 12
SETTINGS = {
    "as runtime.start() sets it": (True, True),
    "with the graph optimiser": (False, True),
    "without op determinism": (True, False),
    "TensorFlow's defaults": (False, False),
}


def measure(no_optimizer: bool, deterministic: bool, side: int, batch: int, backbone: str) -> dict:
    """Seconds of the first step and of each step after it, in this process."""
    import numpy as np
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if no_optimizer:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    import keras

    from cxrkeras.models.architecture import Architecture
    from cxrkeras.models.network import TARGET, build_network
    from cxrkeras.registry import BACKBONES, HEADS
    from cxrkeras.training.fitting.trainer import Trainer

    parts = Architecture((BACKBONES.make(backbone),), HEADS.make("gap"), side)
    network = build_network(parts, {TARGET: 7})
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, side, side, 1)).astype("float32")
    targets = (rng.random((batch, 7)) < 0.1).astype("float32")
    batches = tf.data.Dataset.from_tensors((images, {TARGET: targets})).repeat(STEPS + 1)

    times = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(time.perf_counter())
    )
    trainer = Trainer(network.logits, loss="bw_bce", augment="study")
    trainer.model.fit(batches, epochs=1, callbacks=[clock], verbose=0)
    first, *steady = np.diff(times).tolist()
    return {"first": first, "steady": steady}


def main(side: int = 64, batch: int = 16, backbone: str = "densenet121") -> None:
    """Measure each setting in a process of its own and print them against the first."""
    found = {}
    for name, (no_optimizer, deterministic) in SETTINGS.items():
        call = (no_optimizer, deterministic, side, batch, backbone)
        code = f"import json, first_step; print(json.dumps(first_step.measure{call!r}))"
        command = [sys.executable, "-c", code]
        run = subprocess.run(
            command, cwd=__file__.rsplit("/", 1)[0], check=True, stdout=-1, stderr=-3, text=True
        )
        times = json.loads(run.stdout.splitlines()[-1])
        steady = sorted(times["steady"])
        found[name] = (times["first"], steady[len(steady) // 2])
        spread = f"{steady[0]:.3f} to {steady[-1]:.3f}"
        print(
            f"{name}: first {found[name][0]:.1f} s ({found[name][0] / _ours(found, 0):.2f}x), "
            f"steady {found[name][1]:.3f} s ({found[name][1] / _ours(found, 1):.2f}x; {spread})",
            flush=True,
        )


def _ours(found: dict, which: int) -> float:
    return next(iter(found.values()))[which]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:4])
