"""Attribute on three logical CPUs: `shared_devices.py FILE` writes what methods give there and on one of them.

A program, since TensorFlow's devices are settled once a process. FILE is an .npz with METHOD:shared, METHOD:alone and
METHOD:devices for each method (the devices that took part), and the same of an ensemble and of weights that changed.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from models import random_bases, with_weights

from simbench_tf.attribution import Parts, attribute, register_method, several_devices
from simbench_tf.dna import one_hot

LENGTH = 48
METHODS = {
    "grad_x_input": {},
    "integrated_gradients": {"references": "shuffle:2", "n_steps": 3, "strands": "both"},
    "deeplift_rescale": {"references": "shuffle:2"},
    "gradcam": {},
    "ism": {},
    "of_one_device": {},
}


@register_method("of_one_device", source="this test", one_device=True)
def of_one_device(network, one_hot):
    """Outputs at every observed base."""
    return Parts(network.outputs(one_hot)[..., None, None] * one_hot)


def net(seed):
    inputs = keras.Input((LENGTH, 4))
    x = layers.BatchNormalization()(layers.Conv1D(8, 5, padding="same", activation="relu")(inputs))
    x = layers.Dense(2)(layers.Flatten()(layers.MaxPooling1D(4)(x)))
    return with_weights(keras.Model(inputs, keras.ops.sigmoid(x)), seed, scale=1)


class Unbuildable(keras.layers.Layer):
    """A layer with a function, which does not say how it is built anew."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def main(path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
    found, used, every = {}, set(), several_devices.shared_devices

    on_device = several_devices._on_device

    def noted(explain, place, share):
        used.add(place.device)
        return on_device(explain, place, share)

    several_devices._on_device = noted

    def both(name, model, method, **options):
        several_devices.shared_devices = every
        used.clear()
        shared = attribute(model, x, method, **options)
        found[f"{name}:devices"] = sorted(map(str, used))
        several_devices.shared_devices = lambda: every()[:1]
        alone = attribute(model, x, method, **options)
        for what, result in (("shared", shared), ("alone", alone)):
            arrays = [each for each in result if each is not None]
            found[f"{name}:{what}"] = np.concatenate([each.ravel() for each in arrays])

    x, model = one_hot(random_bases(7, LENGTH)), net(1)
    for method, options in METHODS.items():
        both(method, model, method, **options)
    model.set_weights([2 * weight for weight in model.get_weights()])
    both("changed", model, "grad_x_input")
    both("ensemble", [model, net(2)], "grad_x_input", batch_size=2)
    inputs = keras.Input((LENGTH, 4))
    both(
        "unbuildable",
        keras.Model(inputs, net(3)(Unbuildable(lambda x: 2 * x)(inputs))),
        "grad_x_input",
        output="probability",
    )
    x = x[:2]
    both("two", model, "grad_x_input")
    x = x[:0]
    both("none", model, "grad_x_input")
    copies = several_devices._COPIES[model][1]
    found["copies"] = sorted({weight.value.device for copy in copies.values() for weight in copy.weights})
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
