"""Where everything of a run lies: the one place that spells the names of its files."""

from dataclasses import dataclass
from pathlib import Path

FOLDS, STAGES, SEEDS, LOGGERS = "folds", "stages", "seeds", "log"


@dataclass(frozen=True)
class _Folder:
    """A folder with predictions.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def predictions(self) -> Path:
        """CSV of images, each predicted by a model that hasn't seen it."""
        return self.path / "predictions.csv"

    @property
    def test_predictions(self) -> Path:
        """CSV of the test set; of a run, the mean over the folds' models. Not every run has one."""
        return self.path / "test_predictions.csv"

    def branch(self, name: str) -> Path:
        """CSV as `predictions`, by a branch that was trained on the way to the model."""
        return self.path / f"predictions-{name}.csv"

    @property
    def branches(self) -> dict[str, Path]:
        """The branches' tables by name; none for most models."""
        start = self.branch("").stem
        found = sorted(self.path.glob(f"{start}*.csv"))
        return {path.stem.removeprefix(start): path for path in found}


class FoldFolder(_Folder):
    """What one fold left."""

    @property
    def facts(self) -> Path:
        """JSON, written last: with it the fold is whole."""
        return self.path / "fold.json"

    @property
    def model(self) -> Path:
        """The Keras model."""
        return self.path / "model.keras"

    @property
    def has_model(self) -> bool:
        """Whether there is one: a Keras model, or several trainings' in `members`."""
        return self.model.is_file() or (self.path / "members").is_dir()

    @property
    def card(self) -> Path:
        """JSON that says what the model's outputs are."""
        return self.path / "model.json"

    @property
    def history(self) -> Path:
        """CSV, a row per epoch."""
        return self.path / "history.csv"


class RunFolder(_Folder):
    """A run, or what `cxrkeras evaluate` writes of predictions made elsewhere."""

    @property
    def experiment(self) -> Path:
        """TOML, the description."""
        return self.path / "experiment.toml"

    @property
    def environment(self) -> Path:
        """JSON: data, packages, machine."""
        return self.path / "environment.json"

    @property
    def fold_table(self) -> Path:
        """CSV: which fold holds each image out."""
        return self.path / "folds.csv"

    @property
    def sources(self) -> Path:
        """JSON: what the trunks start from."""
        return self.path / "sources.json"

    @property
    def metrics(self) -> Path:
        """JSON, what the scores are."""
        return self.path / "metrics.json"

    @property
    def operating_points(self) -> Path:
        """JSON: thresholds and calibration, fitted out of fold."""
        return self.path / "operating_points.json"

    @property
    def shortcuts(self) -> Path:
        """JSON: what baselines score that see no lungs. Not every run has one."""
        return self.path / "shortcuts.json"

    @property
    def evidence(self) -> Path:
        """JSON: what a journal asks for beyond `metrics`."""
        return self.path / "evidence.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def train_log(self) -> Path:
        """Text: what was said while the run was made, with the moments."""
        return self.path / "train.log"

    @property
    def loggers(self) -> Path:
        """The folder of what loggers keep, a folder each."""
        return self.path / LOGGERS

    @property
    def folds(self) -> Path:
        """The folder of the folds."""
        return self.path / FOLDS

    @property
    def stages(self) -> Path:
        """The folder of what was trained before the target."""
        return self.path / STAGES

    def fold(self, number: int | str) -> FoldFolder:
        """One fold's folder."""
        return FoldFolder(self.folds / str(number))

    def training(self, seed: int) -> "RunFolder":
        """Of a run with several seeds: the run of one training."""
        return RunFolder(self.path / SEEDS / str(seed))

    @property
    def trainings(self) -> dict[int, "RunFolder"]:
        """The trainings' runs by seed; none for a run with one."""
        found = sorted(
            int(path.parent.name) for path in self.path.glob(f"{SEEDS}/*/experiment.toml")
        )
        return {seed: self.training(seed) for seed in found}

    def finished_folds(self) -> list[FoldFolder]:
        """Those that are whole."""
        return [FoldFolder(path.parent) for path in self.folds.glob("*/fold.json")]
