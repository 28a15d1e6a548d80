"""What every preset promises, other packages' included, and which options ours have."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from cxrkeras.data.augmentation import Preset
from cxrkeras.data.augmentation.operations import Operation, affine, brightness
from cxrkeras.data.augmentation.shared.layer import Augment
from cxrkeras.data.augmentation.shared.mixture import mixture
from cxrkeras.registry import PRESETS
from data_prep.errors import UserError
from tests.cxrkeras.data.augmentation.drawn import augmented, pictures


@pytest.mark.parametrize("name", PRESETS.names())
def test_nothing_happens_outside_training_or_at_no_strength(name):
    preset, images = PRESETS.make(name), pictures(3)
    assert isinstance(preset, Preset)
    assert all(isinstance(operation, Operation) for operation in preset.operations())
    layer = Augment(preset, seed=1)
    np.testing.assert_array_equal(np.asarray(layer(images)), images)
    np.testing.assert_array_equal(np.asarray(layer(images, training=False)), images)
    layer.strength.assign(0.0)
    np.testing.assert_array_equal(augmented(layer, images), images)
    layer.strength.assign(1.0)
    changed = augmented(layer, images)
    assert (changed == images).all() == (not preset.active())
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize("name", PRESETS.names())
def test_a_preset_is_made_from_its_text(name):
    preset = PRESETS.make(name)
    assert str(preset) == name
    assert PRESETS.make(str(preset)) == preset
    for option, field in type(preset).model_fields.items():
        assert field.description, option


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("study:hflip=0", "study:hflip=0.0"),
        ("study: hflip=0.50, noise=.02..0.03", "study:noise=0.02..0.03"),
        ("light:zoom=0.8..1.25,rotation=7", "light:rotation=7.0,zoom=0.8..1.25"),
        ("study:brightness=1", "study:brightness=1.0"),
        ("light:noise=0..0.1", "light:noise=0.0..0.1"),
    ],
)
def test_options_reach_the_operations_and_are_spelled_in_one_way(text, spelled):
    preset = PRESETS.make(text)
    assert str(preset) == spelled
    assert PRESETS.make(spelled) == preset
    values = {}
    for operation in preset.operations():
        values |= operation.model_dump()
    assert values == preset.model_dump()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("heavy", ("--augment must be one of", "'heavy'", *PRESETS.names())),
        ("study:hflip=2", ("study: hflip", "less than or equal to 1", "'2'")),
        ("study:zoom=0..1", ("zoom must be greater than 0", "'0..1'")),
        ("study:zoom=1.1..0.9", ("LOW..HIGH", "'1.1..0.9'")),
        ("study:noise=0.1..x", ("noise", "number", "'x'")),
        ("study:noise=-1", ("noise", "'-1'")),
        ("study:noise=nan", ("noise", "'nan'")),
        ("none:hflip=1", ("none has no option 'hflip'",)),
    ],
)
def test_what_can_t_be_is_refused_in_a_line(text, words):
    with pytest.raises(UserError) as refused:
        PRESETS.make(text)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


def test_what_is_switched_off_is_not_active():
    assert len(PRESETS.make("study").active()) == 3
    assert [type(o) for o in PRESETS.make("light").active()] == [affine.Part, brightness.Part]
    off = "rotation=0,shift=0,shear=0,zoom=1,hflip=0,vflip=0"
    assert [type(o) for o in PRESETS.make(f"light:{off}").active()] == [brightness.Part]


def test_two_operations_with_one_option_are_no_preset():
    with pytest.raises(ValueError, match="two operations have an option brightness"):
        mixture("mine", brightness.Part(), brightness.Part())


def test_presets_are_known_and_checked_without_keras():
    code = (
        "import sys\n"
        "from cxrkeras.registry import OPERATIONS, PRESETS\n"
        "for kind in (OPERATIONS, PRESETS):\n"
        "    for name in kind.names(): kind.make(name)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that subprocess")
def test_the_same_on_jax(on_jax):
    on_jax(__file__)
