"""Labels in a graph: a child learns only where its parent is positive; then the head, on all.

Source: Pham et al., Interpreting chest X-rays via CNNs that exploit hierarchical disease
dependencies and uncertainty labels, Neurocomputing 2021.
"""

from typing import Literal

from cxrkeras.data.labels.hierarchy import parse_parents
from cxrkeras.registry import option
from cxrkeras.training.recipes.shared.wrapping import Wrapping, has_weights
from data_prep.errors import UserError


class Part(Wrapping):
    """The paper can be read in two ways: in the end, outputs are the labels' own probabilities, or
    those given the parent, to be multiplied along the path to the root.

    `head_again` gives the former: the last layer, trained again on all entries, on a trunk that
    learnt from conditional ones. Without it outputs are conditional, and multiplied. A parent
    counts as positive where a child is (ours); labels without an ancestor among the dataset's are
    learnt as usual.
    """

    base: str = option("finetune", "Recipe of the conditional training.")
    parents: str = option(
        "chexpert", "The graph: chexpert, or CHILD<PARENT joined by semicolons, as in TOML."
    )
    head_again: bool = option(True, "Then train the head alone, on all entries.")
    product: Literal["auto", "always", "never"] = option(
        "auto", "Multiply along the path; auto: where outputs are conditional."
    )

    def check(self, plan):
        """As the wrapped recipe does; and see `Recipe.check`."""
        super().check(plan)
        parse_parents(self.parents)
        if self.freezes and self.head_again:
            raise UserError(
                f"--recipe {self}: on a frozen trunk the head that is trained again forgets all "
                "that was conditional. Add head_again=false."
            )

    def fitter(self, session):
        """See `Recipe.fitter`."""
        from cxrkeras.training.recipes.shared.conditional import Conditional
        from cxrkeras.training.recipes.shared.passing import Passing

        within = self.within()
        first = within.fitter(session)
        if self.head_again and not has_weights(first):
            raise UserError(
                f"--recipe {self}: the head that is trained again needs the network of its base, "
                f"which {within} has changed. Add head_again=false, or take another base."
            )
        again = Passing(session, frozen=True) if self.head_again else None
        multiplied = self.product == "always" or (self.product == "auto" and again is None)
        if multiplied and not first.whole:
            raise UserError(
                f"--recipe {self} multiplies the outputs of one model; what {self.base} answers by "
                "isn't one. Add product=never."
            )
        return Conditional(session, first, again, self.parents, multiplied)
