"""Where the time of a training step goes, by TensorFlow's profiler."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

KINDS = {
    "BatchNorm": "batch norm",
    "Conv2DBackprop": "gradients of convolutions",
    "Conv2D": "convolutions",
}
"""By what stands in an operation's name, the first that fits; see also `peers/torch_steps.py`."""
REST = "all else"


def shares(run: Callable[[], object]) -> dict[str, float]:
    """{kind of operation: its share of all operations' time} in a call, on a CPU."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (written,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(written.read_bytes())
    times: Counter[str] = Counter()
    for plane in space.planes:
        names = {number: known.name for number, known in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            _, colon, operation = names[event.metadata_id].rpartition(":")
            if colon:
                kind = next((kind for part, kind in KINDS.items() if part in operation), REST)
                times[kind] += event.duration_ps
    return {kind: time / times.total() for kind, time in times.items()}
