"""Event files in the run's folder, to be drawn by `tensorboard --logdir runs` (extra tensorboard).

Source: https://www.tensorflow.org/tensorboard
"""

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path

from cxrkeras.training.loggers import About, Logger, Writer
from data_prep.errors import UserError


class Part(Logger):
    """A folder of events for each fit, below `log/tensorboard`."""

    def check(self):
        """See `Logger.check`."""
        if not importlib.util.find_spec("tensorboard"):
            raise UserError(
                "--log tensorboard needs the package tensorboard: pip install "
                "'cxrkeras[tensorboard]'. Or leave it out."
            )

    def open(self, about: About) -> Writer:
        """See `Logger.open`."""
        return _Events(about)


class _Events(Writer):
    def __init__(self, about: About):
        self._about, self._files = about, {}

    def last(self, fit):
        """See `Writer.last`."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder = self._about.kept / fit
        if not folder.is_dir():
            return 0
        known = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        steps = [event.step for tag in known.Tags()["scalars"] for event in known.Scalars(tag)]
        return max(steps, default=0)

    def epoch(self, fit, epoch, values):
        """See `Writer.epoch`."""
        self._write(self._about.kept / fit, values, epoch)

    def results(self, scores):
        """See `Writer.results`."""
        folder = self._about.kept / "results"
        self._forget(folder)  # those of an earlier end
        self._write(folder, scores, 0)
        self._files[folder].add_event(_text("settings", _listed(self._about.settings)))
        self._files[folder].add_event(_text("run", f"`{self._about.folder}`"))
        self.close()

    def close(self):
        """See `Writer.close`."""
        for folder in list(self._files):
            self._files.pop(folder).close()

    def _forget(self, folder: Path) -> None:
        if folder in self._files:
            self._files.pop(folder).close()
        shutil.rmtree(folder, ignore_errors=True)

    def _write(self, folder: Path, values: Mapping[str, float], step: int) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if folder not in self._files:
            folder.mkdir(parents=True, exist_ok=True)
            self._files[folder] = EventFileWriter(str(folder))
        found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=found))
        self._files[folder].add_event(event)
        self._files[folder].flush()


def _text(tag: str, markdown: str):
    import time

    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
    value = Summary.Value(tag=tag, metadata=plugin, tensor=tensor)
    return Event(wall_time=time.time(), step=0, summary=Summary(value=[value]))


def _listed(settings: Mapping[str, str]) -> str:
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])
