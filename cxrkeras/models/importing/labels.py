"""What the outputs of an imported classifier mean."""

from pathlib import Path

import numpy as np

from cxrkeras.models.importing.names import Names
from cxrkeras.models.importing.state import State
from cxrkeras.models.importing.torch_names import OPERATING_POINTS
from data_prep.errors import UserError
from data_prep.tables.vocabulary import CHEXPERT5, CHEXPERT14, NIH14, NIH15

XRV18 = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""torchxrayvision's `default_pathologies`: the outputs of all its classifiers, trained or not."""

LISTS = {
    "nih14": NIH14,
    "nih15": NIH15,
    "chexpert14": CHEXPERT14,
    "chexpert5": CHEXPERT5,
    "xrv18": XRV18,
}


def parse_labels(text: str) -> tuple[str, ...]:
    """`--labels`: the name of a list, or names separated by commas; a blank drops that output.

    Raises:
        UserError: a name is given twice.
    """
    if text.lower() in LISTS:
        return LISTS[text.lower()]
    names = tuple(name.strip() for name in text.split(","))
    given = [name for name in names if name]
    if not given or len(set(given)) < len(given):
        raise UserError(
            f"--labels must be one of {', '.join(LISTS)}, or different names separated by commas. "
            f"Received: {text}."
        )
    return names


def output_labels(
    asked: tuple[str, ...] | None, names: Names, state: State, outputs: int, path: Path
) -> tuple[str, ...] | None:
    """The label of each output, "" for one to leave out; None if they are unknown.

    torchxrayvision's networks (one channel, 18 outputs) have its list. Outputs that were never
    trained are recognised by their operating point, if the file has it.

    Raises:
        UserError: the number of labels isn't the number of outputs.
    """
    if asked is not None and len(asked) != outputs:
        raise UserError(
            f"--labels names {len(asked)} labels, but the classifier of {path} has {outputs} "
            "outputs. Name each, in order; a blank between two commas leaves one out."
        )
    if asked is None and outputs == len(XRV18) and one_channel(names, state):
        asked = XRV18
    points = _operating_points(state)
    if asked is None or points is None or points.shape != (outputs,):
        return asked
    return tuple("" if np.isnan(p) else name for name, p in zip(asked, points, strict=True))


def one_channel(names: Names, state: State) -> bool:
    """Whether the original sees grey in one channel, which is torchxrayvision's form."""
    first = state.tensors.get(names.keys[names.first, "kernel"])
    return first is not None and names.to_keras(first, "kernel").shape[2:3] == (1,)


def _operating_points(state: State) -> np.ndarray | None:
    found = [
        value for key, value in state.tensors.items() if key.rpartition(".")[2] == OPERATING_POINTS
    ]
    return found[0] if found else None
