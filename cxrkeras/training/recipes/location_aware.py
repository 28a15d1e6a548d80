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
_ALL = (1.0, 1.0)  # of the film, as the smallest and the largest part


class Part(Recipe):
    """All layers are trained; the zones' outputs are left out of the model.

    Films without boxes of a finding teach nothing about its zones. Without any box it is
    `finetune`.
    """

    augment: ClassVar[str] = "light"
    files: ClassVar[tuple[str, ...]] = (BOXES,)

    def check(self, plan):
        """See `Recipe.check`."""
        chances, operations = ("hflip", "vflip"), plan.augment.operations()
        if any(getattr(o, "area", _ALL) != _ALL for o in operations):
            raise UserError(
                f"--recipe {self.part_name()} learns where on the film findings lie, so films "
                f"can't be shown in parts. Received: --augment {plan.augment}. Give --augment "
                "light."
            )
        if any(getattr(o, chance, 0) for o in operations for chance in chances):
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
