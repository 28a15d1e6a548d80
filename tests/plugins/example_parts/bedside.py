"""What films taken at the bedside vary in: turned and shifted a little, of any contrast."""

from cxrkeras.data.augmentation.operations import affine
from cxrkeras.data.augmentation.shared.mixture import mixture
from example_parts import contrast

Part = mixture(
    __name__,
    affine.Part(rotation=8.0, shift=0.05, shear=0.0, zoom=(0.9, 1.1)),
    contrast.Part(contrast=(0.7, 1.3)),
)
