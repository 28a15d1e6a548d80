"""Records what torchvision makes of the seeded weights: `python record_torch.py`. Needs it."""

import numpy as np
import torch
from torch.nn.functional import relu
from torchvision import models

from tests.cxrkeras.models.importing.seeded import (
    FIXTURES,
    Recorded,
    images,
    values,
    write_recorded,
)

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
SD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]


def pooled(net: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """(N, C): the mean of the last map; in ResNets and DenseNets what the classifier sees."""
    if isinstance(net, models.DenseNet):
        return relu(net.features(pixels)).mean((2, 3))
    if isinstance(net, models.VGG):
        return net.features(pixels).mean((2, 3))
    trunk = torch.nn.Sequential(*list(net.children())[:-2])  # without pooling and classifier
    return trunk(pixels).mean((2, 3))


def record(name: str, net: torch.nn.Module, side: int, *, xrv: bool = False) -> None:
    """Features and logits in double precision, of 8-bit grey as the network's users scale it."""
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    net.load_state_dict({key: torch.tensor(value) for key, value in values(shapes).items()})
    net.double().eval()
    grey = torch.tensor(np.float64(images(side))).permute(0, 3, 1, 2)
    pixels = (2 * (grey / 255) - 1) * 1024 if xrv else (grey / 255 - MEAN) / SD
    if isinstance(net, models.VGG):  # its classifier has 120 million weights, which nobody imports
        shapes = {key: shape for key, shape in shapes.items() if key.startswith("features.")}
    with torch.no_grad():
        recorded = Recorded(shapes, {}, pooled(net, pixels).numpy(), net(pixels).numpy())
    write_recorded(FIXTURES / f"{name}.npz", recorded)


def one_channel() -> torch.nn.Module:
    """The DenseNet121 of torchxrayvision."""
    net = models.densenet121(num_classes=18)
    net.features.conv0 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return net


if __name__ == "__main__":
    FIXTURES.mkdir(exist_ok=True)
    record("xrv_densenet121", one_channel(), 64, xrv=True)
    for name in ("densenet121", "resnet18", "resnet34", "resnet50", "resnet101", "vgg11_bn"):
        record(f"torch_{name}", getattr(models, name)(num_classes=14), 64)
