"""torchvision's DenseNet121 and ResNet50 in plain PyTorch, module names and mathematics alike.

Written anew after the papers (Huang et al., CVPR 2017; He et al., CVPR 2016) and the names of
torchvision's state dicts, so that torchvision isn't needed.
"""

import torch
from torch import nn
from torch.nn import functional


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class DenseLayer(nn.Module):
    def __init__(self, inputs: int):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), _convolution(inputs, 128, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), _convolution(128, 32, 3)

    def forward(self, x):
        new = self.conv1(functional.relu(self.norm1(x)))
        new = self.conv2(functional.relu(self.norm2(new)))
        return torch.cat([x, new], 1)


class Transition(nn.Module):
    def __init__(self, inputs: int):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), _convolution(inputs, inputs // 2, 1)

    def forward(self, x):
        return functional.avg_pool2d(self.conv(functional.relu(self.norm(x))), 2, 2)


class DenseNet121(nn.Module):
    def __init__(self, classes: int, channels: int = 3):
        super().__init__()
        self.features = features = nn.Sequential()
        features.add_module("conv0", _convolution(channels, 64, 7, 2))
        features.add_module("norm0", nn.BatchNorm2d(64))
        features.add_module("relu0", nn.ReLU())
        features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        width = 64
        for number, layers in enumerate((6, 12, 24, 16), start=1):
            block = nn.Sequential()
            for layer in range(layers):
                block.add_module(f"denselayer{layer + 1}", DenseLayer(width + 32 * layer))
            features.add_module(f"denseblock{number}", block)
            width += 32 * layers
            if number < 4:
                features.add_module(f"transition{number}", Transition(width))
                width //= 2
        features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)

    def pooled(self, x):
        """(N, 3, H, W) -> (N, 1024), as torchvision's forward does before its classifier."""
        return functional.relu(self.features(x)).mean((2, 3))

    def forward(self, x):
        return self.classifier(self.pooled(x))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, filters: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, filters, 1), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = _convolution(filters, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = _convolution(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)
        self.downsample = None
        if inputs != 4 * filters:
            self.downsample = nn.Sequential(
                _convolution(inputs, 4 * filters, 1, stride), nn.BatchNorm2d(4 * filters)
            )

    def forward(self, x):
        new = functional.relu(self.bn1(self.conv1(x)))
        new = functional.relu(self.bn2(self.conv2(new)))
        shortcut = self.downsample(x) if self.downsample else x
        return functional.relu(self.bn3(self.conv3(new)) + shortcut)


class ResNet50(nn.Module):
    def __init__(self, classes: int, channels: int = 3):
        super().__init__()
        self.conv1, self.bn1 = _convolution(channels, 64, 7, 2), nn.BatchNorm2d(64)
        width = 64
        for number, blocks in enumerate((3, 4, 6, 3), start=1):
            filters, stack = 32 << number, nn.Sequential()
            for block in range(blocks):
                stride = 2 if block == 0 and number > 1 else 1
                stack.append(Bottleneck(width, filters, stride))
                width = 4 * filters
            self.add_module(f"layer{number}", stack)
        self.fc = nn.Linear(width, classes)

    def pooled(self, x):
        """(N, 3, H, W) -> (N, 2048), as torchvision's forward does before its classifier."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stack in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stack(x)
        return x.mean((2, 3))

    def forward(self, x):
        return self.fc(self.pooled(x))
