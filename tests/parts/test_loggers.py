"""What every logger must do: go on with a run's log, without an epoch twice."""

import pytest

from cxrkeras.registry import LOGGERS
from cxrkeras.training.loggers import About
from tests.parts.each import each, made


@pytest.fixture
def about(tmp_path, monkeypatch):
    """A run, in a folder of its own; what a logger keeps elsewhere goes there too."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    settings = {"backbone": "densenet121", "source": "imagenet", "long": "x" * 1000}
    return About("first", run, run / "log" / "it", settings)


@each(LOGGERS)
def test_it_goes_on_where_an_earlier_process_ended(part_id, about):
    logger = made(part_id)
    logger.check()
    first = logger.open(about)
    assert first.last("fold_1") == 0
    for epoch in (1, 2):
        first.epoch("fold_1", epoch, {"loss": 0.5, "val_auroc": 0.75})
    first.epoch("fold_2", 1, {"loss": 0.5})
    first.close()
    again = logger.open(about)
    assert [again.last(fit) for fit in ("fold_1", "fold_2", "source_stage_nih.14")] == [2, 1, 0]
    again.epoch("fold_2", 2, {"loss": 0.25})
    for _ in range(2):
        again.results({"auroc": 0.75, "auroc_by_label/Pleural thickening (x)": 0.5})
    again.close()
    assert logger.open(about).last("fold_2") == 2
