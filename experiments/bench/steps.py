"""Training steps.

Against torchvision's network in PyTorch, channels-last, with Adam and autocast for bfloat16, on a
GPU also with `torch.compile`. Ours holds what a run's model does: one grey channel made three,
scaled, and bW-BCE; augmentation is measured by itself. The same batch in memory over and over. On a
GPU the share of the peak is of the rate that a product of two bfloat16 matrices of 8,192 squared
reaches there, by the operations that PyTorch counts in a step.

On a CPU both run the same convolutions of oneDNN (DenseNet121, 8 images of 224 px, one operation at
a time, by `ONEDNN_VERBOSE`): of a step they take 721 ms here and 669 in PyTorch in float32, 393 and
340 in bfloat16; batch norm takes 133 and 110 ms here, reordering 26 and 22, in PyTorch 11 and 7.
TensorFlow's wheel runs oneDNN on a thread pool of its own, PyTorch's on OpenMP.
"""

import sys
import time
from contextlib import ExitStack
from typing import ClassVar

from cxrkeras.registry import option
from experiments.bench import Measurement, Row

MODULE = "experiments.bench.steps"
STEPS = 5


class Part(Measurement):
    """See the module's docstring."""

    small: ClassVar = {"sides": "32", "batch": 2, "backbones": "resnet50"}
    devices: ClassVar = ("cpu", "gpu")
    peers: ClassVar = True

    backbones: str = option("densenet121 resnet50", "Backbones.")
    sides: str = option("", "Sides of the images; 224 on a CPU, also 320 and 512 on a GPU.")
    batch: int = option(0, "Images per batch; 8 on a CPU, 64 on a GPU.", ge=0)

    def measure(self, stand):
        """A row for each backbone, size and precision; on a GPU also its share of the peak."""
        gpu = stand.device == "gpu"
        sides = (self.sides or ("224 320 512" if gpu else "224")).split()
        batch = self.batch or (64 if gpu else 8)
        precisions = ("bfloat16",) if gpu else ("float32", "bfloat16")
        against = "PyTorch channels-last" + (", torch.compile" if gpu else "")
        for backbone in self.backbones.split():
            for side in sides:
                for precision in precisions:
                    told = (backbone, side, batch, precision, stand.device)
                    ours, peer = self._rates(stand, told)
                    what = f"{backbone}, {batch} images of {side} px, {precision}"
                    rates = [each["rate"] for each in peer]
                    yield Row(what, "images/s", ours, rates, against=against, at_least=1)
                    if gpu:
                        both = list(zip(ours, peer, strict=True))
                        share = [100 * rate * p["operations"] / p["peak"] for rate, p in both]
                        its = [100 * p["rate"] * p["operations"] / p["peak"] for p in peer]
                        yield Row(f"{what}: share of the peak", "%", share, its, against=against)

    def _rates(self, stand, told) -> tuple[list[float], list[dict]]:
        """Ours, and what the peer says, of each repeat; both processes are ready before."""
        with ExitStack() as stack:
            peer = stack.enter_context(
                stand.worker("experiments/bench/peers/torch_steps.py", *told, peer=True)
            )
            ours = stack.enter_context(stand.worker("-m", MODULE, *told))
            peer(), ours()
            said: list[dict] = []
            found = stand.in_turn(ours=ours, peer=lambda: said.append(peer()) or said[-1]["rate"])
            return found["ours"], said


def _ours(backbone: str, side: str, batch: str, precision: str, device: str) -> None:
    """Answer with images per second."""
    from answers import answers

    from cxrkeras import runtime

    if device == "cpu":
        runtime.start()
    from experiments.bench.shared.networks import batches, trainer

    model = trainer(backbone, int(side), precision=precision).model
    data = batches(int(side), int(batch), STEPS)
    model.fit(data.take(2), shuffle=False, verbose=0)

    def rate() -> float:
        start = time.perf_counter()
        model.fit(data, shuffle=False, verbose=0)
        return STEPS * int(batch) / (time.perf_counter() - start)

    answers(rate)


if __name__ == "__main__":
    _ours(*sys.argv[1:])
