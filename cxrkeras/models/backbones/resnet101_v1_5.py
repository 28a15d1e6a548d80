"""ResNet101 "v1.5", as torchvision trains it: the stride is in the 3x3 convolution.

It isn't `resnet101`, that of `keras.applications`: weights of one are nonsense in the other.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016); the stride as in Goyal
et al., Accurate, Large Minibatch SGD (2017).
"""

from cxrkeras.models.backbones.shared.resnet import ResNet


class Part(ResNet):
    """ResNet101 v1.5, whose stride is in the 3x3 convolution."""

    files = ("PyTorch's ResNet101",)
    blocks = (3, 4, 23, 3)
