"""An MLflow run, in a folder or on a tracking server: `mlflow=URI` (extra mlflow).

Source: https://mlflow.org
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cxrkeras.registry import option
from cxrkeras.training.loggers import About, Logger, Writer
from data_prep.errors import UserError
from data_prep.files import atomic_write_json, read_json

_FOLDER = "mlruns"  # without a URI, as MLflow has it
_LONGEST = 500  # characters of a parameter, whatever the server
_MODEST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""A server that is away keeps nobody for minutes."""


class Part(Logger):
    """One MLflow run, with the metrics of each fit as `FIT/NAME`."""

    main = "uri"
    uri: str = option(
        "",
        "Where: http://HOST:5000, or a folder; $MLFLOW_TRACKING_URI, or mlruns, if not given. A "
        "password belongs in MLFLOW_TRACKING_PASSWORD, not here.",
    )
    experiment: str = option("cxrkeras", "The MLflow experiment that the run joins.", min_length=1)

    def check(self):
        """See `Logger.check`."""
        if not importlib.util.find_spec("mlflow"):
            raise UserError(
                "--log mlflow needs the package mlflow-skinny: pip install 'cxrkeras[mlflow]'. "
                "Or leave it out."
            )
        if "@" in urlsplit(self.place()).netloc:
            raise UserError(
                "--log mlflow: a name or password in the URI would be kept in the run's folder. "
                "Give MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
            )

    def open(self, about: About) -> Writer:
        """See `Logger.open`."""
        return _Run(self, about)

    def place(self) -> str:
        """The URI, complete."""
        text = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or _FOLDER
        return text if ":" in text else Path(text).absolute().as_uri()


class _Run(Writer):
    def __init__(self, logger: Part, about: About):
        for name, value in _MODEST.items():
            os.environ.setdefault(name, value)
        note = about.kept / "run.json"
        known = read_json(note) if note.is_file() else {}
        place = known.get("uri") or logger.place()
        if place.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else it asks for a database
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=place)
        self._run = known.get("run") or self._begin(logger, about)
        if not known:
            about.kept.mkdir(parents=True, exist_ok=True)
            atomic_write_json(note, {"uri": place, "run": self._run})

    def _begin(self, logger: Part, about: About) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(logger.experiment)
        experiment = (
            found.experiment_id if found else self._client.create_experiment(logger.experiment)
        )
        tags = {"cxrkeras.folder": str(about.folder)}
        run = self._client.create_run(experiment, run_name=about.name, tags=tags).info.run_id
        chosen = [Param(name, value[:_LONGEST]) for name, value in about.settings.items()]
        self._client.log_batch(run, params=chosen)
        return run

    def last(self, fit):
        """See `Writer.last`."""
        known = self._client.get_run(self._run).data.metrics
        for name in known:
            if name.startswith(f"{fit}/"):
                return max(m.step for m in self._client.get_metric_history(self._run, name))
        return 0

    def epoch(self, fit, epoch, values):
        """See `Writer.epoch`."""
        self._log({f"{fit}/{name}": value for name, value in values.items()}, epoch)

    def results(self, scores):
        """See `Writer.results`."""
        known = self._client.get_run(self._run).data.metrics
        self._log({name: value for name, value in scores.items() if known.get(name) != value}, 0)
        self._client.set_terminated(self._run)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_named(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)


def _named(name: str) -> str:
    """MLflow allows letters, digits and a few marks."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)
