"""How well films are told from other pictures by how unlike the training films they are.

python -m experiments.unlike RUN films=OTHER/images phantoms=DIR ct=DIR photographs=DIR

asks a run of `cxrkeras cv` for each folder as `cxrkeras predict` does, and prints, for each, the
number of pictures, the share that is flagged, and the AUROC of `unlike` against the first folder.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from cxrkeras.serving.predict.run import predict_words
from cxrkeras.serving.predictor.read import read_card
from data_prep.films.admission import Admission


def main(run: str, *groups: str) -> None:
    """Print the table; see above."""
    card, films = read_card(Path(run)), None
    for group in groups:
        name, _, folder = group.partition("=")
        admission = Admission(any_body_part=True, any_modality=True)
        told = predict_words(card, [folder], card.default_rule, admission=admission)
        unlike = told.unlike[told.readable]
        films = unlike if films is None else films
        print(
            f"{name}: {len(unlike)} pictures, {told.flagged.sum() / len(unlike):.1%} flagged, ",
            end="",
        )
        truth = np.repeat([0, 1], [len(films), len(unlike)])
        print(f"AUROC {roc_auc_score(truth, np.append(films, unlike)):.4f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
