"""The model card beside an export: what it is, how it was tested, and what it isn't for."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import jinja2

from cxrkeras.data.distortion import Factor
from cxrkeras.data.inputs import MEANINGS
from cxrkeras.evaluation.evidence.doubts import points_in_words
from cxrkeras.evaluation.rules import parse_rule
from cxrkeras.evaluation.scores.counted import left_out
from cxrkeras.serving.predict.reached import reached
from cxrkeras.serving.predictor.card import Card
from data_prep.films.admission import DEFAULT, Admission

_CONTENTS = {
    "saved-model": "`{v}/`: SavedModel for TensorFlow Serving. Signatures `serving_default` "
    "(input `image`) and `encoded` (input `image_bytes`); outputs `probability`, "
    "`label`, `threshold`; of `encoded` also `valid`. `assets.extra/model.json`: "
    "everything that is known about it.",
    "onnx": "`onnx/{v}/model.onnx`: input `image`, output `probability`; labels and thresholds in "
    "its metadata.",
    "hub": "`model.keras` and `model.json` (in `hub/{v}/` of the export): one Keras model, which "
    "`keras.models.load_model` opens; input `image`, output `probability`. `cxrkeras predict` "
    "takes the folder.",
    "litert": "`litert/{v}/model.tflite`: signature `serving_default`, `image` to `probability`; "
    "`model.json` beside.",
}
_METRICS = {"auroc": ("roc_auc", "AUROC"), "average_precision": ("average_precision", "AP")}
_SETTINGS = (
    "method", "backbone", "features", "source_rows", "recipe", "loss", "blank", "blank_weight",
    "augment", "image_size", "views", "optimizer", "average", "epochs", "batch_size",
    "learning_rate", "dropout", "folds", "test_fraction", "seed", "seeds",
)  # fmt: skip
_USUAL = {
    "views": "whole",
    "optimizer": "adam",
    "features": [],
    "source_rows": [],
    "blank": "zeros",
    "blank_weight": 1.0,
    "seeds": 1,
}  # fmt: skip; not worth a line


def model_card(
    card: Card,
    *,
    name: str,
    version_number: int,
    formats: Sequence[str],
    earlier: Sequence[str] = (),
    rule: str,
    differences: Sequence,
    license_name: str = "unknown",
    admission: Admission = DEFAULT,
) -> str:
    """Markdown with Hugging Face's front matter.

    Args:
        card: of the model; a run's predictions are read from its folder.
        name: of the export.
        version_number: of the export.
        formats: that were exported.
        earlier: folders of other exports of the name.
        rule: of the thresholds.
        differences: `export.Difference`s of the round trip.
        license_name: as Hugging Face spells it; of the weights, which their owner decides;
            `unknown` where nobody said.
        admission: how large a picture may be that `encoded` reads.
    """
    facts, points = card.facts, card.operating_points(parse_rule(rule))
    expected = reached(points, card.labels, card.count)
    prepared, measured = card.preparation, card.performance()
    return _template().render(
        license=license_name,
        name=name,
        contents=[_CONTENTS[format_].format(v=version_number) for format_ in formats],
        earlier=earlier,
        side=card.image_size,
        least=admission.min_side,
        most=f"{admission.max_pixels:,}",
        preparation=_preparation(prepared),
        members=f", the mean of {card.count} models" if card.count > 1 else "",
        inputs={name: MEANINGS[name] for name in card.extras},
        distorted=card.distorted,
        weighted=isinstance(card.distortion, Factor),
        checked=differences[0].images,
        differences=differences,
        rule=rule,
        labels=[
            {
                "name": label,
                "prevalence": facts["training_prevalence"][label],
                "threshold": points[label]["threshold"],
                "sensitivity": expected.sensitivity[k],
                "specificity": expected.specificity[k],
                "origin": points[label]["from"],
            }
            for k, label in enumerate(card.labels)
        ],
        reached=expected.where,
        alone=card.alone,
        doubts=[*card.doubts(), *points_in_words(points, facts["training_prevalence"])],
        trained_on=facts.get("trained_on") or "unnamed data",
        version=version("cxrkeras"),
        settings=_settings(card.settings()),
        performance=measured,
        index=_index(measured, name, facts.get("trained_on") or "unnamed data"),
        left_out=left_out(card.labels),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cxrkeras.serving.export"),
        autoescape=False,  # Markdown, made of this package's own texts and of label names
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(num=_num, pct=_pct, interval=_interval)
    return environment.get_template("model_card.md")


def _num(value: float | None, digits: int, missing: str = "none") -> str:
    return missing if value is None else f"{value:.{digits}f}"


def _pct(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f} %"


def _interval(score: Mapping, key: str = "value") -> str:
    value, low, high = (score[name] for name in (key, "low", "high"))
    if value is None:
        return "–"
    return f"{value:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def _preparation(prepared) -> str:
    """The first of the two steps, e.g. `stretched to a square of 512 x 512, then to `."""
    side = prepared.image_size
    spread = ""
    if prepared.stretch:
        low, high = prepared.stretch
        spread = f"percentiles {low:g} and {high:g} to black and white, "
    how = "with black margins to a square" if prepared.pad else "stretched to a square"
    return f"{spread}{how} of {side} x {side}, then to "


def _index(measured: Mapping | None, name: str, data: str) -> list[dict]:
    """Hugging Face's `model-index`: scores of each finding and their mean; nothing unmeasured."""
    if measured is None:
        return []
    told = {"macro": measured["macro"], **measured["per_label"]}
    metrics = [
        {"type": kind, "name": f"{words} {label} ({_ends(found[key])})", "value": value}
        for label, found in told.items()
        for key, (kind, words) in _METRICS.items()
        if (value := found[key]["value"]) is not None
    ]
    task = {"type": "image-classification", "name": "Multi-label classification of radiographs"}
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", data).strip("-.") or "unnamed"
    dataset = {"type": slug, "name": data, "split": measured["how"]}
    result = {"task": task, "dataset": dataset, "metrics": metrics}
    return [{"name": name, "results": [result]}] if metrics else []


def _ends(score: Mapping) -> str:
    low, high = score["low"], score["high"]
    return "no interval" if low is None else f"95 % interval {low:.3f} to {high:.3f}"


def _settings(found: Mapping) -> list[tuple[str, str]]:
    """Those that matter, as text; each source as a chain."""
    shown = {key: found[key] for key in _SETTINGS if found.get(key) not in (None, _USUAL.get(key))}
    if chains := found.get("source"):
        shown["source"] = [" > ".join(names) for names in chains]
    if rows := found.get("source_rows"):
        shown["source_rows"] = [f"{name} at weight {weight:g}" for name, weight in rows]
    return [
        (key, ", ".join(map(str, v)) if isinstance(v, list) else str(v)) for key, v in shown.items()
    ]
