"""ResNet50 "v1.5", as torchvision and NVIDIA train it: the stride is in the 3x3 convolution.

It isn't `resnet50`, that of `keras.applications`: weights of one are nonsense in the other.

Source: He et al., Deep Residual Learning for Image Recognition (CVPR 2016); the stride as in Goyal
et al., Accurate, Large Minibatch SGD (2017).
"""

from cxrkeras.models.backbones.shared.resnet import ResNet


class Part(ResNet):
    """ResNet50 v1.5, whose stride is in the 3x3 convolution."""

    files = ("PyTorch's ResNet50",)
    blocks = (3, 4, 6, 3)
