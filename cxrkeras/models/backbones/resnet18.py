"""ResNet18 of torchvision, of basic blocks: two 3x3 convolutions, the stride in the first.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016).
"""

from cxrkeras.models.backbones.shared.resnet import ResNet


class Part(ResNet):
    """ResNet18."""

    files = ("PyTorch's ResNet18",)
    blocks = (2, 2, 2, 2)
    bottleneck = False
