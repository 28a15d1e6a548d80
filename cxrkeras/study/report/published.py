"""The study's own tables, shown beside a grid's figures for orientation.

Huang et al., Diagnostics 2022;12:1457, as printed on the slides of 2021-10-30: training binary
accuracy in percent and mean absolute error, each as mean and spread over folds (which measure of
spread isn't stated), then average precision and AUC on the test set. The data are private: another
hospital, another prevalence and another list of findings, so nothing here is a target.

The training cells of `mixed ImageNet + NIH` are the same for both backbones, to the last digit:
probably a copying error in the source. They are kept as printed and marked.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row of the study's tables.

    Args:
        accuracy: training binary accuracy in percent, mean.
        accuracy_spread: its spread over folds.
        mae: training mean absolute error.
        mae_spread: its spread over folds.
        average_precision: on the test set.
        auroc: on the test set.
        doubtful: whether the training cells are probably a copying error.
    """

    accuracy: float
    accuracy_spread: float
    mae: float
    mae_spread: float
    average_precision: float
    auroc: float
    doubtful: bool = False


_IN, _CX, _NIH = "imagenet", "chexpert", "nih"
_TABLE = {
    ("resnet50", "regular", (_IN,)): Published(93.53, 0.45, 0.07, 0.00, 0.214, 0.796),
    ("resnet50", "regular", (_CX,)): Published(81.85, 7.80, 0.20, 0.08, 0.191, 0.806),
    ("resnet50", "regular", (_NIH,)): Published(87.85, 1.71, 0.14, 0.02, 0.209, 0.831),
    ("resnet50", "regular", (_IN, _CX)): Published(85.22, 3.59, 0.16, 0.04, 0.213, 0.831),
    ("resnet50", "regular", (_IN, _NIH)): Published(86.82, 2.04, 0.15, 0.02, 0.206, 0.827),
    ("resnet50", "mixed", (_IN, _CX)): Published(92.97, 0.68, 0.08, 0.01, 0.190, 0.776),
    ("resnet50", "mixed", (_IN, _NIH)): Published(93.48, 0.50, 0.07, 0.01, 0.207, 0.780, True),
    ("resnet50", "cotrain", (_CX, _NIH)): Published(85.48, 4.71, 0.16, 0.05, 0.191, 0.790),
    ("densenet121", "regular", (_IN,)): Published(91.56, 1.21, 0.11, 0.01, 0.204, 0.803),
    ("densenet121", "regular", (_CX,)): Published(79.88, 9.99, 0.23, 0.09, 0.169, 0.781),
    ("densenet121", "regular", (_NIH,)): Published(80.70, 12.10, 0.22, 0.11, 0.171, 0.800),
    ("densenet121", "regular", (_IN, _CX)): Published(86.44, 1.47, 0.17, 0.02, 0.221, 0.826),
    ("densenet121", "regular", (_IN, _NIH)): Published(78.35, 11.89, 0.25, 0.11, 0.179, 0.779),
    ("densenet121", "mixed", (_IN, _CX)): Published(91.40, 0.75, 0.11, 0.01, 0.210, 0.813),
    ("densenet121", "mixed", (_IN, _NIH)): Published(93.48, 0.50, 0.07, 0.01, 0.210, 0.802, True),
    ("densenet121", "cotrain", (_CX, _NIH)): Published(77.45, 6.91, 0.26, 0.07, 0.210, 0.826),
}


def published(
    backbone: str, method: str, links: Sequence[Sequence[str]], weights: Sequence[str]
) -> Published | None:
    """The study's row for a setting, or None if there is none.

    Args:
        backbone: the trunk.
        method: regular, mixed or cotrain.
        links: names of the sources, per `--source`. `chexpert` and `nih` are taken to be what they
            say.
        weights: what the weights links really are. Only `imagenet` itself counts: a file of that
            name may hold anything.
    """
    if any(where != "imagenet" for where in weights):
        return None
    names = [name for chain in links for name in chain]
    if not set(names) <= {_IN, _CX, _NIH}:
        return None
    if method != "regular":  # order matters in a chain, but not side by side
        names.sort(key=(_IN, _CX, _NIH).index)
    return _TABLE.get((backbone, method, tuple(names)))
