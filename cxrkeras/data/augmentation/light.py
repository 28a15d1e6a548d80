"""A little rotation, shift and zoom, then brightness; nothing that anatomy forbids."""

from cxrkeras.data.augmentation.operations import affine, brightness, noise
from cxrkeras.data.augmentation.shared.mixture import mixture

Part = mixture(
    __name__,
    affine.Part(rotation=5.0, shift=0.03, shear=0.0, zoom=(0.95, 1.05), hflip=0.0, vflip=0.0),
    brightness.Part(brightness=(0.9, 1.1)),
    noise.Part(noise=(0.0, 0.0)),
)
