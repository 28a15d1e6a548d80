"""The model card that lies beside an export: what it is, how it was tested, what it isn't for."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import jinja2

from cxrkeras.evaluation.operating import parse_rule
from cxrkeras.evaluation.predictions import read_predictions
from cxrkeras.evaluation.subgroups import Subgroup, subgroups
from cxrkeras.serving.card import Card

_CONTENTS = {
    "saved-model": "`{v}/`: SavedModel for TensorFlow Serving. Signatures `serving_default` (input "
    "`image`) and `encoded` (input `image_bytes`); outputs `probability`, `label`, `threshold`; of "
    "`encoded` also `valid`. `assets.extra/model.json`: all that is known of it.",
    "onnx": "`onnx/{v}/model.onnx`: input `image`, output `probability`; labels and thresholds in "
    "its metadata.",
    "litert": "`litert/{v}/model.tflite`: signature `serving_default`, `image` to `probability`; "
    "`model.json` beside.",
}
_SETTINGS = (
    "method", "backbone", "reuse", "loss", "augment", "image_size",
    "epochs", "batch_size", "learning_rate", "dropout", "folds", "test_fraction", "seed",
)  # fmt: skip


def model_card(
    card: Card,
    *,
    name: str,
    version_number: int,
    formats: Sequence[str],
    rule: str,
    differences: Sequence,
    license_name: str = "other",
) -> str:
    """Markdown with Hugging Face's front matter.

    Args:
        card: of the model; a run's predictions and metrics are read from its folder.
        name: of the export.
        version_number: of the export.
        formats: that were exported.
        rule: of the thresholds.
        differences: `export.Difference`s of the round trip.
        license_name: as Hugging Face spells it; of the weights, which their owner decides.
    """
    facts, points = card.facts, card.operating_points(parse_rule(rule))
    prepared = card.preparation
    return _template().render(
        license=license_name,
        name=name,
        contents=[_CONTENTS[format_].format(v=version_number) for format_ in formats],
        side=card.image_size,
        preparation=_preparation(prepared),
        members=f", the mean of {len(card.members)} models" if len(card.members) > 1 else "",
        distorted=bool((card.inflation != 1).any()),
        checked=differences[0].images,
        differences=differences,
        rule=rule,
        labels=[
            {
                "name": label,
                "prevalence": facts["training_prevalence"][label],
                "threshold": points[label]["threshold"],
                "origin": points[label]["from"],
            }
            for label in card.labels
        ],
        trained_on=facts.get("trained_on") or "data that isn't named",
        version=version("cxrkeras"),
        settings=_settings(card.run),
        scores=_scores(card.run),
        subgroups=_subgroups(card.run),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cxrkeras.serving"),
        autoescape=False,  # Markdown, made of this package's own texts and of label names
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(num=_num, pct=_pct, score=_score_of_group)
    return environment.get_template("model_card.md")


def _num(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _pct(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f} %"


def _with_bounds(value: float | None, bounds: Mapping | None) -> str:
    if value is None:
        return "–"
    if not bounds:
        return f"{value:.3f}"
    return f"{value:.3f} ({bounds['low']:.3f} to {bounds['high']:.3f})"


def _score_of_group(group: Subgroup) -> str:
    bounds = None if group.low is None else {"low": group.low, "high": group.high}
    return _with_bounds(group.auroc, bounds)


def _preparation(prepared) -> str:
    """The first of the two steps, e.g. `stretched to a square of 512 x 512, then to `."""
    side = prepared.image_size
    spread = ""
    if prepared.stretch:
        low, high = prepared.stretch
        spread = f"percentiles {low:g} and {high:g} to black and white, "
    how = "with black margins to a square" if prepared.pad else "stretched to a square"
    return f"{spread}{how} of {side} x {side}, then to "


def _settings(run: Path | None) -> list[tuple[str, str]]:
    if run is None:
        return []
    described = tomllib.loads((run / "experiment.toml").read_text(encoding="utf-8"))
    found = [(key, described[key]) for key in _SETTINGS if key in described]
    if sources := described.get("source"):
        # Their last part: a path says where somebody's files lie.
        names = [str(source).rstrip("/").rpartition("/")[2] for source in sources]
        found.append(("source", names))
    return [(key, ", ".join(map(str, v)) if isinstance(v, list) else str(v)) for key, v in found]


def _scores(run: Path | None) -> dict | None:
    """Of the held-out test set where there is one, else out of fold."""
    if run is None or not (run / "metrics.json").is_file():
        return None
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    part, how = (
        metrics,
        "Out of fold: each image scored by the one model that hadn't seen its patient",
    )
    if metrics.get("test"):
        part, how = (
            metrics["test"],
            "On the held-out test set, scored by the ensemble as it is here",
        )
    parts = {**part["per_label"], "mean of all": part["macro"]}
    rows = [
        {
            "name": name,
            "n": f"{pooled['n'] if name in part['per_label'] else part['images']:,}",
            "positives": f"{pooled['positives']:,}",
            **{
                score: _with_bounds(pooled[score], pooled.get(f"{score}_interval"))
                for score in ("auroc", "average_precision")
            },
        }
        for name, pooled in ((name, scored["pooled"]) for name, scored in parts.items())
    ]
    return {"rows": rows, "how": f"{how} ({part['images']:,} images)."}


def _subgroups(run: Path | None) -> list[Subgroup]:
    if run is None:
        return []
    data = tomllib.loads((run / "experiment.toml").read_text(encoding="utf-8")).get("data")
    manifest = Path(data or "") / "manifest.csv"
    if not manifest.is_file():
        return []
    test = run / "test_predictions.csv"
    return subgroups(
        read_predictions(test if test.is_file() else run / "predictions.csv"), manifest
    )
