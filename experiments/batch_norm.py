"""What batch-norm statistics estimated anew gain on a small run: `--batch-norm never` or `auto`.

Run: python experiments/batch_norm.py DATA OUT [EPOCHS [SIDE [BACKBONE]]], DATA a prepared
dataset, OUT a folder for the runs. Same two folds, same seed, nothing else differs. `never` keeps
Keras's momentum of 0.99 as well; `auto` quickens it and settles the statistics after fitting.
Prints macro AUROC, and the binary accuracy that training and validation ended with.
"""

import sys
from pathlib import Path

import pandas as pd

from cxrkeras import runtime
from cxrkeras.runs.description import make_experiment
from cxrkeras.training.crossval import cross_validate


def main(data: str, out: str, epochs: int = 6, side: int = 64, backbone: str = "densenet121"):
    """Run both and print."""
    runtime.start()
    for batch_norm in ("never", "auto"):
        experiment = make_experiment(
            {
                "data": data,
                "backbone": backbone,
                "image_size": side,
                "epochs": epochs,
                "folds": 2,
                "learning_rate": 1e-3,
                "augment": "light",
                "early_stopping": 0,
                "batch_norm": batch_norm,
            }
        )
        run = Path(out, batch_norm)
        macro = cross_validate(experiment, run)["macro"]
        histories = [pd.read_csv(path) for path in sorted(run.glob("folds/*/history.csv"))]
        last = pd.concat(history.iloc[[-1]] for history in histories).mean()
        print(
            f"--batch-norm {batch_norm}: macro AUROC {macro['pooled']['auroc']:.3f} pooled, "
            f"{macro['over_folds']['auroc']['mean']:.3f} over folds; last epoch's binary accuracy "
            f"{last['binary_accuracy']:.3f}, on validation {last['val_binary_accuracy']:.3f}, "
            f"val_loss {last['val_loss']:.1f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:5]), *sys.argv[5:6])
