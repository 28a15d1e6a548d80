"""Records what PyTorch makes of the seeded weights: `python record_torch.py`. Needs torch."""

import numpy as np
import torch

from tests.cxrkeras.models.importing.recipes.torch_nets import DenseNet121, ResNet50
from tests.cxrkeras.models.importing.seeded import (
    FIXTURES,
    Recorded,
    images,
    values,
    write_recorded,
)

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
SD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]


def record(name: str, net: torch.nn.Module, side: int, *, xrv: bool = False) -> None:
    """Features and logits in double precision, of 8-bit grey as the network's users scale it."""
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    net.load_state_dict({key: torch.tensor(value) for key, value in values(shapes).items()})
    net.double().eval()
    grey = torch.tensor(np.float64(images(side))).permute(0, 3, 1, 2)
    pixels = (2 * (grey / 255) - 1) * 1024 if xrv else (grey / 255 - MEAN) / SD
    with torch.no_grad():
        recorded = Recorded(shapes, {}, net.pooled(pixels).numpy(), net(pixels).numpy())
    write_recorded(FIXTURES / f"{name}.npz", recorded)


if __name__ == "__main__":
    FIXTURES.mkdir(exist_ok=True)
    record("torch_densenet121", DenseNet121(14), 64)
    record("torch_resnet50", ResNet50(14), 64)
    record("xrv_densenet121", DenseNet121(18, channels=1), 64, xrv=True)
