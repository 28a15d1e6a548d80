"""Batch-weighted binary cross-entropy with weights label by label.

Source: Wang et al., ChestX-ray8, CVPR 2017 (W-CEL, equation 3).
"""

from cxrkeras.models.losses import bw_bce
from cxrkeras.registry import option


class Part(bw_bce.Part):
    """`bw_bce:per_label=true` under a name of its own."""

    per_label: bool = option(True, "Weigh each label's positives against its own negatives.")
