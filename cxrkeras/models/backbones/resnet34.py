"""ResNet34 of torchvision, of basic blocks: two 3x3 convolutions, the stride in the first.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016).
"""

from cxrkeras.models.backbones.shared.resnet import ResNet


class Part(ResNet):
    """ResNet34."""

    files = ("PyTorch's ResNet34",)
    blocks = (3, 4, 6, 3)
    bottleneck = False
