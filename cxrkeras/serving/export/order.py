"""One call of export: a model's place, its formats and its card put together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrkeras.evaluation.rules import Rule
from cxrkeras.serving.export.layout import check_name, earlier, next_version
from cxrkeras.serving.predictor.read import read_card
from data_prep.films.admission import DEFAULT, Admission
from data_prep.say import say

if TYPE_CHECKING:
    from cxrkeras.serving.export.run import Difference, Exported

UNKNOWN_LICENSE = "unknown"
_ASK = (
    "Warning: the card will say that the licence of the weights is unknown. Before you upload them "
    "ask whose data and weights they grew from, and give --licence."
)


def export(
    model: Path,
    out: Path,
    formats: Sequence[str],
    rule: Rule | None,
    *,
    name: str | None = None,
    check: Sequence[Path] = (),
    license_name: str = UNKNOWN_LICENSE,
    admission: Admission = DEFAULT,
) -> "Exported":
    """Export a model, or a run's ensemble as one, as a new version of OUT/NAME.

    Args:
        model: a run, a model folder or a `.keras` file.
        out: the folder of all exported models.
        formats: keys of `layout.FORMATS`.
        rule: of the thresholds that go along; the model's default if None.
        name: on the server; that of the model's folder if None.
        check: radiographs for the round trip; synthetic ones where empty.
        license_name: of the weights, for the model card.
        admission: what is accepted as a radiograph.

    Returns:
        What was written, with its largest differences against Keras.

    Raises:
        UserError: as `run.export_model`. What the model lacks is said before the work.
    """
    formats = tuple(dict.fromkeys(formats))
    home = out / check_name(name or model.resolve().stem)
    card = read_card(model)
    rule = rule or card.default_rule
    card.operating_points(rule)
    if "hub" in formats and license_name == UNKNOWN_LICENSE:
        say(_ASK)
    from cxrkeras import runtime

    runtime.use_tensorflow("export")
    runtime.start()
    from cxrkeras.serving.export.card import model_card
    from cxrkeras.serving.export.run import export_model

    def describe(differences: "Sequence[Difference]", alone: Sequence[str] | None = None) -> str:
        return model_card(
            card,
            name=home.name,
            version_number=next_version(home),
            formats=alone or formats,
            earlier=() if alone else earlier(home),
            rule=str(rule),
            differences=differences,
            license_name=license_name,
            admission=admission,
        )

    return export_model(card, home, formats, rule, check, describe=describe, admission=admission)
