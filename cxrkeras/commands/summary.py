"""`cxrkeras summary`: what a combination builds, without data."""

from typing import Any

import click

from cxrkeras.commands.options import SectionedCommand, chosen, experiment_options


@click.command(cls=SectionedCommand)
@experiment_options("method", "backbone", "reuse", "image_size", "dropout")
@click.option(
    "--labels", type=click.IntRange(1), default=7, show_default=True, help="Number of outputs."
)
@click.option("--trunk-layers", is_flag=True, help="List the layers inside the trunks too.")
def command(labels: int, trunk_layers: bool, **options: Any) -> None:
    """Print the Keras summary of the target model that a combination builds.

    \b
    Examples:
      cxrkeras summary --backbone densenet121 --method mixed
      cxrkeras summary --backbone resnet50 --reuse layers --trunk-layers
    """
    from cxrkeras.models.methods import make_plan
    from cxrkeras.training import runtime
    from cxrkeras.training.experiment import make_experiment

    experiment = make_experiment(chosen(options))
    # On the target, cotrain's model is regular's: its several heads belong to the source stage.
    method = "mixed" if experiment.method == "mixed" else "regular"
    trunks = tuple(trunk.backbone for trunk in make_plan(method, experiment.backbone, ()))
    runtime.start()
    from cxrkeras.models.network import TARGET, build_network

    network = build_network(
        trunks, experiment.image_size, {TARGET: labels}, dropout=experiment.dropout
    )
    for trunk in network.trunks:
        trunk.trainable = experiment.reuse == "finetune"
    network.probability.summary(expand_nested=trunk_layers, show_trainable=True)
