"""What made which tensor in a Keras model's graph: the one module with private names of Keras.

Keras has no public way to ask it, except for the first call of a layer (`layer.input`), and in a
larger model a nested one's first call isn't the one that counts. Nor has it one to call a model's
layers anew in the middle of a graph: `clone_model` makes inputs of its own there.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One call of an operation on symbolic tensors: what went in, and what came out."""

    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def calls(operation: keras.Operation) -> list[Call]:
    """The calls of a layer, or of another operation, in the order in which they were made.

    Of a nested model, those by which it stands in other models.
    """
    return [Call(node.input_tensors, node.output_tensors) for node in operation._inbound_nodes]


def around(operation: keras.Operation) -> Call:
    """The call of a layer, or of a nested model, where it was made but once."""
    if isinstance(operation, keras.Model):
        return calls(operation)[0]
    return Call(keras.tree.flatten(operation.input), keras.tree.flatten(operation.output))


def source(tensor: keras.KerasTensor) -> tuple[keras.Operation, list[keras.KerasTensor]]:
    """What made a tensor, and of which tensors."""
    operation, number, _ = tensor._keras_history
    return operation, calls(operation)[number].inputs


def called_by_layers(
    model: keras.Model, args: Sequence, instead: Callable[[keras.Operation], Callable]
) -> Any:
    """Call a functional model layer by layer, each by what `instead` gives for it.

    Args:
        model: built from inputs and outputs.
        args: what it is called with.
        instead: operation -> what is called in its place.

    Returns:
        The outputs, structured as the model's.
    """
    return model._run_through_graph(args, instead)
