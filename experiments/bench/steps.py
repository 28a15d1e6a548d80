"""Training steps.

Against torchvision's network in PyTorch, channels-last, with Adam and autocast for bfloat16, on a
GPU also with `torch.compile`. Ours holds what a run's model does: one grey channel made three,
scaled, and bW-BCE; augmentation is measured by itself. The same batch in memory over and over. On a
GPU the share of the peak is of the rate that a product of two bfloat16 matrices of 8,192 squared
reaches there, by the operations that PyTorch counts in a step. On a CPU both sides' profilers say
of one step in which operations its time goes.
"""

import sys
import time
from contextlib import ExitStack
from statistics import median
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
                    ours, peer, shares = self._rates(stand, told)
                    what = f"{backbone}, {batch} images of {side} px, {precision}"
                    rates = [each["rate"] for each in peer]
                    spent = list(zip((ours, rates), shares, strict=True))
                    note = "" if gpu else step_note(what, batch, spent)
                    yield Row(what, "images/s", ours, rates, against=against, at_least=1, note=note)
                    if gpu:
                        both = list(zip(ours, peer, strict=True))
                        share = [100 * rate * p["operations"] / p["peak"] for rate, p in both]
                        its = [100 * p["rate"] * p["operations"] / p["peak"] for p in peer]
                        yield Row(f"{what}: share of the peak", "%", share, its, against=against)

    def _rates(self, stand, told) -> tuple[list[float], list[dict], list[dict]]:
        """Ours, and what the peer says, of each repeat; both processes are ready before.

        Then the shares of operations, ours and the peer's.
        """
        with ExitStack() as stack:
            peer = stack.enter_context(
                stand.worker("experiments/bench/peers/torch_steps.py", *told, peer=True)
            )
            ours = stack.enter_context(stand.worker("-m", MODULE, *told))
            shares = [ours()["shares"], peer()["shares"]]
            said: list[dict] = []
            found = stand.in_turn(
                ours=lambda: ours()["rate"], peer=lambda: said.append(peer()) or said[-1]["rate"]
            )
            return found["ours"], said, shares


def step_note(what: str, batch: int, sides) -> str:
    """A step's milliseconds by kinds of operations, of (rates, shares) of ours and the peer's."""
    ours, peer = (
        {kind: 1000 * batch / median(rates) * share for kind, share in shares.items()}
        for rates, shares in sides
    )
    kinds = [f"{kind} {ours[kind]:.0f} and {peer[kind]:.0f}" for kind in sorted(ours)]
    return f"{what}, ms of a step, ours and PyTorch's: {', '.join(kinds)}."


def _ours(backbone: str, side: str, batch: str, precision: str, device: str) -> None:
    """Answer with images per second, and with the shares of operations."""
    from answers import answers

    from cxrkeras import runtime

    if device == "cpu":
        runtime.start()
    from experiments.bench.shared.networks import batches, trainer
    from experiments.bench.shared.shares import shares

    model = trainer(backbone, int(side), precision=precision).model
    data = batches(int(side), int(batch), STEPS)

    def fit(steps: int) -> None:
        model.fit(data.take(steps), shuffle=False, verbose=0)

    fit(2)
    known = shares(lambda: fit(1)) if device == "cpu" else None

    def measure() -> dict:
        start = time.perf_counter()
        fit(STEPS)
        return {"rate": STEPS * int(batch) / (time.perf_counter() - start), "shares": known}

    answers(measure)


if __name__ == "__main__":
    _ours(*sys.argv[1:])
