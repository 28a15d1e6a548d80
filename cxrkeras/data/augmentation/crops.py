"""A random part of the image (8% to all of it), resized to what the network sees; half mirrored.

Source: torchvision's RandomResizedCrop and RandomHorizontalFlip, as in most copies of CheXNet
"""

from cxrkeras.data.augmentation.operations import crop
from cxrkeras.data.augmentation.shared.mixture import mixture

Part = mixture(
    __name__,
    crop.Part(area=(0.08, 1.0), ratio=(0.75, 4 / 3), hflip=0.5),
)
