"""A trained model in the formats that servers and devices read, each checked before publishing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxrkeras.data.inputs import IMAGE
from cxrkeras.evaluation.rules import Rule
from cxrkeras.evaluation.scores.operating import thresholds_of
from cxrkeras.serving.export import check as export_check
from cxrkeras.serving.export import hub as export_hub
from cxrkeras.serving.export import portable as export_portable
from cxrkeras.serving.export.check import ENCODED, FLOAT, RESIZED, Samples
from cxrkeras.serving.export.layout import next_version, publish, staging
from cxrkeras.serving.export.saved_model import Described, write_saved_model
from cxrkeras.serving.predictor.card import Card, one_picture
from cxrkeras.serving.predictor.loaded import load_card
from data_prep.errors import UserError
from data_prep.files import atomic_write_text
from data_prep.films.admission import DEFAULT, Admission
from data_prep.say import say


@dataclass(frozen=True)
class Difference:
    """What the round trip of one signature found.

    Args:
        what: e.g. `onnx` or `saved-model encoded`.
        value: the largest difference of a probability against Keras.
        limit: the largest that it may have.
        images: over how many images.
    """

    what: str
    value: float
    limit: float
    images: int

    @property
    def passed(self) -> bool:
        """False for NaN too."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Args:
        home: `DIR/NAME`.
        folders: the version's, one per format.
        differences: of the round trips.
    """

    home: Path
    folders: list[Path]
    differences: list[Difference]


def export_model(
    card: Card,
    home: Path,
    formats: Sequence[str],
    rule: Rule,
    check: Sequence[Path],
    *,
    describe: Callable[..., str],
    admission: Admission = DEFAULT,
) -> Exported:
    """Export a model or an ensemble as a new version; nothing is left of one that fails.

    Args:
        card: of the model.
        home: `DIR/NAME`.
        formats: keys of `layout.FORMATS`.
        rule: of the thresholds.
        check: radiographs for the round trip; synthetic ones where empty.
        describe: makes the model card's text from the round trip's `Difference`s, and where it
            goes into a folder of its own, from the formats there.
        admission: what is accepted as a radiograph; its sides and pixels bound what is served, too.

    Raises:
        UserError: where the model lacks the operating points, a package is missing, `home` can't
            be written, or a round trip differs by more than it may.
    """
    points = card.operating_points(rule)
    if "onnx" in formats:
        export_portable.check_onnx_is_here()
    inner = ("kind", "package", "frozen", "combine", "studies")  # of a folder, not of an export
    known = {name: fact for name, fact in card.facts.items() if name not in inner}
    inputs = {"inputs": [IMAGE, *card.extras]} if card.extras else {}
    facts = {**known, **inputs, "operating_point": str(rule), "thresholds": points}
    one_picture(card)
    if card.alone:
        say(card.alone)
    model = load_card(card)
    described = Described(
        model=model.keras_model(),
        labels=card.labels,
        thresholds=thresholds_of(points, card.labels),
        preparation=card.preparation,
        facts={**facts, "preparation": card.preparation.as_json(), "members": card.count},
        admission=admission,
    )
    of_hub = export_hub.model_facts(card, described.facts) if "hub" in formats else {}
    sizes = {leaf.image_size for leaf in card.leaves}
    limit = FLOAT if len(sizes) == 1 else RESIZED
    with staging(home) as staged:
        samples = export_check.read_samples(model, check, admission)
        differences = []
        for name in formats:
            folder = staged / name
            folder.mkdir()
            whole = replace(described, facts=of_hub) if name == "hub" else described
            differences += _write_and_check(name, whole, folder, samples, limit)
        _raise_for(differences)
        if "hub" in formats:
            own = [found for found in differences if found.what == "hub"]
            atomic_write_text(staged / "hub" / "README.md", describe(own, ["hub"]))
        version = next_version(home)
        text = describe(differences)
        folders = publish(staged, home, version, list(formats))
        atomic_write_text(home / "README.md", text)
    return Exported(home, folders, differences)


def _write_and_check(
    name: str, described: Described, folder: Path, samples: Samples, limit: float
) -> list[Difference]:
    images, count = samples.images, len(samples.images)
    if name == "saved-model":
        write_saved_model(described, folder)
        found = export_check.check_saved_model(folder, samples)
        limits = {"encoded": ENCODED, "encoded_known": ENCODED}
        return [Difference(f"{name} {s}", d, limits.get(s, limit), count) for s, d in found.items()]
    write, run = _PORTABLE[name]
    write(described, folder)
    expected = samples.expected if samples.expected_known is None else samples.expected_known
    found = samples.largest(lambda rows: run(folder, images[rows], samples.told(rows)), expected)
    return [Difference(name, found, limit, count)]


_PORTABLE = {
    "onnx": (export_portable.write_onnx, export_portable.run_onnx),
    "litert": (export_portable.write_litert, export_portable.run_litert),
    "hub": (export_hub.write_hub, export_hub.run_hub),
}


def _raise_for(differences: Sequence[Difference]) -> None:
    failed = [d for d in differences if not d.passed]
    if failed:
        told = ", ".join(f"{d.what} {d.value:.1e} (limit {d.limit:.0e})" for d in failed)
        raise UserError(
            "The exported model must give Keras's answers on the same images. Largest "
            f"difference: {told}. Nothing was written. Please report this, with the backbone's "
            "name."
        )
