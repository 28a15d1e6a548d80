"""The vectors of labels that the archives made usual, each a tuple of names in their order.

>>> import cxrkeras
>>> len(cxrkeras.labels.NIH14), cxrkeras.labels.CHEXPERT5[0]
(14, 'Atelectasis')

`NIH14` are those of ChestX-ray14, `NIH15` these and No Finding, `CHEXPERT14` and `CHEXPERT5` those
of CheXpert and of its competition. `LABEL_SETS` has them under the names that
`cross_validate(labels=…)` takes.
"""

from cxrkeras.data.labels.label_sets import LABEL_SETS
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14, NIH14, NIH15

__all__ = ["CHEXPERT5", "CHEXPERT14", "LABEL_SETS", "NIH14", "NIH15"]
