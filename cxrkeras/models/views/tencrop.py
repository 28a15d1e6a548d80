"""Ten crops: the middle, the four corners, and their mirror images; their mean probability.

Source: Krizhevsky et al., NIPS 2012 (section 4.1); torchvision's TenCrop.
"""

from cxrkeras.models.views import Crop
from cxrkeras.models.views.shared.middle import Middle


class Part(Middle):
    """Training sees the crop in the middle; a prediction takes ten times as long."""

    def crops(self, image_size):
        """See `Views.crops`."""
        far = image_size - self.side
        corners = (Crop(top, left) for top in (0, far) for left in (0, far))
        plain = (*super().crops(image_size), *corners)
        # Cut out of the mirror image, at the same places.
        return (*plain, *(Crop(top, far - left, True) for top, left, _ in plain))
