"""What may differ by nature, each with its reason, and names that changed on purpose."""

from fnmatch import fnmatchcase
from pathlib import PurePath

# Files by pattern of their path within a case: reason.
FILES = {
    "*.keras": "an archive that holds the time of writing; its answers are in predictions.csv",
    "*/saved_model.pb": "not the same bytes when one model is exported twice; its answers are "
    "compared (saved-model*, encoded*)",
    "*/fingerprint.pb": "a hash of saved_model.pb",
    "*/variables/variables.*": "as saved_model.pb",
    "*.onnx": "not the same bytes when one model is exported twice; its answers, labels and "
    "thresholds are compared (onnx*)",
    "*.html": "a page for people; its numbers come from files that are compared",
    "*.md": "prose for people; its numbers come from files that are compared",
    "*/environment.json": "versions, the system, and fingerprints of code and data",
    "*/train.log": "what was said, and when",
    "*/experiment.toml": "absolute paths, and every option by its present name and default",
    "*/cells/*.toml": "as experiment.toml",
    "description.toml": "written by the guard, with absolute paths",
    "*/sources.json": "what the key of a stage is made of, which the code may put in other words; "
    "what a stage learnt is compared (history.csv, metrics.json)",
    "*/stage.json": "as sources.json, and seconds",
    "*/.prepare/*": "the journal of a preparation: sizes and times of raw files",
}

# Keys of a JSON file and columns of a CSV file, wherever they stand: reason.
FIELDS = {
    "seconds": "a duration",
    "fold_seconds": "durations, in study.json",
    "stages": "durations in study.json, under names that hold a key; see sources.json",
}

# Words that got another name on purpose: folders, keys, columns and values, alone or as a part
# between hyphens. Both sides are read in the words since; a file that has the same content then
# is "equal but for names".
RENAMED = {"reuse": "recipe", "layers": "frozen"}


def reason(path: PurePath) -> str | None:
    """Why a file isn't compared; None where it is."""
    name = path.as_posix()
    return next((why for pattern, why in FILES.items() if _fits(name, pattern)), None)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(f"/{name}", pattern)


def renamed(text: str) -> str:
    """A word as it is called since."""
    return "-".join(RENAMED.get(part, part) for part in text.split("-"))
