"""`cxrkeras summary`: what a combination builds, or a saved model holds, and what it costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxrkeras.commands.shared.helping import Verb
from cxrkeras.commands.shared.options import chosen, experiment_options
from data_prep.errors import UserError

if TYPE_CHECKING:
    import keras

_MAIN = ("backbone", "method", "head", "recipe", "image-size", "batch-size", "outputs", "plot")


@click.command(cls=Verb, shown=_MAIN)
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[MODEL_OR_RUN]")
@experiment_options(
    "method", "backbone", "head", "features", "inputs", "recipe", "image_size", "views", "dropout",
    "batch_size", "precision", "devices",
)  # fmt: skip
@click.option(
    "--outputs",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="Number of outputs, one per label.",
)
@click.option("--trunk-layers", is_flag=True, help="List the layers inside the trunks too.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the parts as FILE.svg."
)
def command(
    model: Path | None, outputs: int, trunk_layers: bool, plot: Path | None, **options: Any
) -> None:
    """Print the Keras summary of a combination, or of a saved model, and its cost.

    Then a table of its parts: parameters, the feature map, how many pixels of the image one cell of
    the map sees, and the operations per image; and the memory for a batch.

    \b
    Examples:
      cxrkeras summary --backbone densenet121 --method mixed
      cxrkeras summary --backbone resnet50 --recipe frozen --trunk-layers
      cxrkeras summary --backbone resnet50 --image-size 224 --plot resnet50.svg
      cxrkeras summary runs/first
    """
    if plot and plot.suffix.lower() != ".svg":
        raise click.UsageError(f"--plot writes SVG: give FILE.svg. Received: {plot}.")
    batch_size, network = _saved(model, options) if model else _built(outputs, options)
    network.summary(expand_nested=trunk_layers, show_trainable=True)
    precision, devices = options["precision"] or "float32", options["devices"] or 1
    click.echo(_costs(network, batch_size, precision, devices))
    if plot:
        from cxrkeras.models.summary.diagram import diagram
        from data_prep.files import atomic_write_text

        try:
            atomic_write_text(plot, diagram(network))
        except OSError as error:
            raise UserError(f"--plot {plot} can't be written: {error.strerror}.") from error
        click.echo(f"Drawing: {plot}")


def _built(outputs: int, options: dict[str, Any]) -> "tuple[int, keras.Model]":
    from cxrkeras import runtime
    from cxrkeras.runs.description import make_experiment
    from cxrkeras.runs.presets import with_preset
    from cxrkeras.training.plan import resolve

    choices = {"random_trunk": True, **with_preset(chosen(options))}
    # On the target, cotrain's model is regular's: its several heads belong to the source stage.
    if choices.get("method") == "cotrain":
        choices["method"] = "regular"
    plan = resolve(make_experiment(choices))
    if "backbone" in plan.recipe.unused:
        raise UserError(f"--recipe {plan.recipe} has no network. Give another --recipe.")
    runtime.start()
    network = plan.recipe.network(plan.architecture, outputs)
    for trunk in network.trunks:
        trunk.trainable = not plan.recipe.freezes
    return plan.experiment.batch_size, network.probability


def _saved(path: Path, options: dict[str, Any]) -> "tuple[int, keras.Model]":
    of_steps = ("batch_size", "precision", "devices")
    given = [name for name in chosen(options) if name not in of_steps]
    if given:
        raise click.UsageError(
            f"A saved model has its own --{given[0].replace('_', '-')}: give either that option "
            "or MODEL_OR_RUN."
        )
    folds = [*path.glob("folds/*/model.keras"), *path.glob("folds/*/members/*/model.keras")]
    places = [path, path / "model.keras", *sorted(folds)[:1]]
    file = next((p for p in places if p.is_file() and p.suffix == ".keras"), None)
    if file is None:
        raise UserError(
            f"A model is a .keras file, a folder with model.keras, or a run. Received: {path}."
        )
    from cxrkeras import runtime

    runtime.start()
    from cxrkeras.serving.predictor.keras_file import load_keras

    return options["batch_size"] or 16, load_keras(file)


def _costs(model: "keras.Model", batch_size: int, precision: str, devices: int) -> str:
    import keras

    from cxrkeras.models.summary.cost import multiply_adds, sight, training_memory, views_of

    lines = [f"{'part':<20} {'parameters':>12}  {'map':<14} {'stride':>6}  {'sees':<12} GFLOPs"]
    views, layers = 1, list(model.layers)
    for layer in layers:
        if isinstance(layer, keras.Model) and any(len(t.shape) == 2 for t in layer.outputs):
            # Of one view, or a branch.
            views *= views_of(layer)
            layers += layer.layers
        elif isinstance(layer, keras.Model):
            seen = sight(layer)
            side = "whole image" if seen.field == float("inf") else f"{seen.field:.0f} px"
            shape = "×".join(map(str, seen.map))
            flops = 2 * multiply_adds(layer) / 1e9
            lines.append(
                f"{layer.name:<20} {layer.count_params():>12,}  {shape:<14} {seen.stride:>6}  "
                f"{side:<12} {flops:.2f}"
            )
        elif layer.count_params():
            lines.append(f"{layer.name:<20} {layer.count_params():>12,}")
    flops = 2 * multiply_adds(model) / 1e9
    memory = training_memory(model, -(-batch_size // devices), precision) / 2**20
    several = f" in {views} views" if views > 1 else ""
    each = f" on each of {devices} devices" if devices > 1 else ""
    lines += [
        f"One image{several}: {flops:.2f} GFLOPs (two per multiply-add, convolutions and dense "
        "layers).",
        f"A training step with {batch_size} images, {precision}: at least {memory:,.0f} MiB{each}.",
    ]
    return "\n".join(lines)
