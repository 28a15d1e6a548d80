"""Learns beside each finding in which zones of the film it lies, where a dataset has boxes.

Source: after Guendel et al., Learning to Recognize Abnormalities in Chest X-Rays with
Location-Aware Dense Networks, CIARP 2018; the zones are ours.
"""

from typing import ClassVar

from cxrkeras.evaluation.boxes.known_boxes import read_known_boxes
from cxrkeras.training.recipes import Recipe
from cxrkeras.training.recipes.shared.zones import zone_targets
from data_prep.errors import UserError

LOCATION, BOXES = "location", "boxes.csv"


class Part(Recipe):
    """All layers are trained; the zones' outputs are left out of the model.

    Films without boxes of a finding teach nothing about its zones. Without any box it is
    `finetune`.
    """

    augment: ClassVar[str] = "light"

    def check(self, plan):
        """See `Recipe.check`."""
        chances = ("hflip", "vflip")
        if any(getattr(o, chance, 0) for o in plan.augment.operations() for chance in chances):
            known = [f"{name}=0" for name in chances if name in type(plan.augment).model_fields]
            raise UserError(
                f"--recipe {self.part_name()} learns where findings lie, so films can't be "
                f"flipped. Received: --augment {plan.augment}. Give --augment light, or "
                f"{plan.augment.part_name()}:{','.join(known)}."
            )

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.passing import Passing

        dataset = session.target.dataset
        table = dataset.root / BOXES
        if session.plan.experiment.shuffle_labels or not table.is_file():
            return Passing(session)
        known = read_known_boxes(table, dataset.image_size)
        found = zone_targets(known, dataset.images.tolist(), dataset.labels)
        return Passing(session, beside={LOCATION: found} if found.shape[1] else {})
