"""Training steps of torchvision's networks, as PyTorch's users run them.

Run: python torch_steps.py BACKBONE SIDE BATCH float32|bfloat16 cpu|gpu. Channels-last, Adam, binary
cross-entropy on 7 labels; autocast for bfloat16; on a GPU also `torch.compile`. Answers with images
per second, operations per image, and on a GPU the operations per second of a large matrix product.
"""

import sys
import time
from types import ModuleType

import torch
from answers import answers
from torch.utils.flop_counter import FlopCounterMode

if torch.version.cuda is None:
    # The index's torchvision wants operators that are missing beside a CPU build of torch, and that
    # only detection uses.
    sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
import torchvision

LABELS, STEPS, SQUARE = 7, 5, 8192


def main(backbone: str, side: int, batch: int, precision: str, device: str) -> None:
    """Prepare, then answer."""
    torch.manual_seed(0)
    on = torch.device("cuda" if device == "gpu" else "cpu")
    network = getattr(torchvision.models, backbone)(num_classes=LABELS)
    network = network.to(on, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    images = torch.rand(batch, 3, side, side, device=on).to(memory_format=torch.channels_last)
    targets = (torch.rand(batch, LABELS, device=on) < 0.1).float()
    half = torch.autocast(on.type, torch.bfloat16, enabled=precision == "bfloat16")

    def step(run=network) -> None:
        optimizer.zero_grad(set_to_none=True)
        with half:
            logits = run(images)
        torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), targets).backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    compiled = torch.compile(network) if device == "gpu" else network
    for _ in range(2):
        step(compiled)
    peak = _peak(on) if device == "gpu" else None

    def measure() -> dict:
        _wait(on)
        start = time.perf_counter()
        for _ in range(STEPS):
            step(compiled)
        _wait(on)
        rate = STEPS * batch / (time.perf_counter() - start)
        return {"rate": rate, "operations": counter.get_total_flops() / batch, "peak": peak}

    answers(measure)


def _peak(on: torch.device) -> float:
    """Operations per second of a product of two bfloat16 matrices."""
    left, right = torch.rand(2, SQUARE, SQUARE, device=on, dtype=torch.bfloat16)
    times = []
    for _ in range(10):
        _wait(on)
        start = time.perf_counter()
        left @ right
        _wait(on)
        times.append(time.perf_counter() - start)
    return 2 * SQUARE**3 / min(times)


def _wait(on: torch.device) -> None:
    if on.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]), *sys.argv[4:6])
