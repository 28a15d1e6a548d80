"""The private names of Keras that `models.graph` reads: what breaks here, breaks there."""

import keras
import numpy as np
import pytest
from keras import layers

from cxrkeras.models.graph import called_by_layers, calls, source, steps


@pytest.fixture(scope="module")
def nested():
    """A trunk within a model, and a layer that is called twice."""
    inner_input = keras.Input((8, 8, 1))
    convolved = layers.Conv2D(2, 3, name="conv")(inner_input)
    trunk = keras.Model(inner_input, layers.ReLU(name="relu")(convolved), name="trunk")
    image = keras.Input((8, 8, 1), name="image")
    twice = layers.UpSampling2D(2, name="twice")
    first = twice(trunk(image))
    pooled = layers.GlobalAveragePooling2D(name="pool")(twice(first))
    return keras.Model(image, layers.Add(name="sum")([pooled, pooled * 2.0])), trunk, twice


def test_keras_history_says_what_made_a_tensor(nested):
    """`KerasTensor._keras_history`: (operation, number of its call, number of the output)."""
    model, trunk, twice = nested
    operation, inputs = source(model.outputs[0])
    assert operation.name == "sum"
    found = [source(tensor)[0] for tensor in inputs]
    assert found[0] is model.get_layer("pool")
    assert not isinstance(found[1], keras.layers.Layer)  # the product is no layer
    (second,) = source(inputs[0])[1]
    assert source(second)[0] is twice
    (first,) = source(second)[1]
    assert source(first)[0] is twice
    (maps,) = source(first)[1]
    assert source(maps) == (trunk, [model.inputs[0]])  # its call here, not its own graph
    assert source(trunk.outputs[0])[0].name == "relu"


def test_inbound_nodes_are_the_calls_of_an_operation(nested):
    """`Operation._inbound_nodes`: with `input_tensors` and `output_tensors`, first call first."""
    model, trunk, twice = nested
    (call,) = calls(trunk)
    assert call.inputs == [model.inputs[0]]
    assert call.outputs[0].shape == (None, 6, 6, 2)
    assert [call.outputs[0].shape for call in calls(twice)] == [
        (None, 12, 12, 2),
        (None, 24, 24, 2),
    ]
    assert calls(twice)[1].inputs == calls(twice)[0].outputs
    assert len(calls(model.get_layer("sum"))[0].inputs) == 2


def test_nodes_by_depth_are_the_calls_of_a_model_and_no_others(nested):
    """`Functional._nodes_by_depth`, of a sequential model that of its `_functional`."""
    model, trunk, twice = nested
    found = steps(model)
    names = [step.operation.name for step in found]
    assert [step.operation for step in found].count(twice) == 2
    assert names[0] == "trunk"
    assert names[-1] == "sum"
    assert found[0].inputs == model.inputs
    known = {id(tensor) for tensor in model.inputs}
    for step in found:
        assert {id(tensor) for tensor in step.inputs} <= known
        known |= {id(tensor) for tensor in step.outputs}
    assert id(model.outputs[0]) in known
    (relu,) = steps(keras.Model(trunk.get_layer("conv").output, trunk.output))
    assert relu.operation is trunk.get_layer("relu")
    assert len(calls(relu.operation)) > 1
    sequential = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.ReLU()])
    first, last = steps(sequential)
    assert first.inputs[0] is sequential.inputs[0]
    assert last.outputs[0] is sequential.outputs[0]


def test_run_through_graph_calls_a_model_layer_by_layer(nested):
    """`Functional._run_through_graph`: (arguments, operation -> what is called in its place)."""
    model, trunk, _ = nested

    def instead(operation):
        return (lambda image, **_: trunk(image) * 0.0 + 1.0) if operation is trunk else operation

    image = keras.Input((8, 8, 1))
    start = layers.Rescaling(1.0)(image)  # not at the beginning of a graph
    level = keras.Model(image, called_by_layers(model, (start,), instead))
    found = keras.ops.convert_to_numpy(level(np.ones((1, 8, 8, 1), np.float32)))
    np.testing.assert_allclose(found, 3.0)  # the mean of ones, and twice it
