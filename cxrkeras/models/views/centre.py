"""The crop in the middle, in training and in prediction.

Source: the usual evaluation of ImageNet's classifiers; torchvision's CenterCrop.
"""

from cxrkeras.models.views.shared.middle import Middle


class Part(Middle):
    """With --augment crops, training shows a random part of the image there."""
