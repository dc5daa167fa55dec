"""Networks with weights that never change from run to run, random bases for them, and how near results must be."""

import numpy as np


def with_weights(model, seed=0, scale=1.5):
    """Give a model reproducible weights; batch normalisation does something, and its factors have either sign."""
    rng = np.random.default_rng(seed)

    def drawn(name, shape):
        if name == "moving_variance":
            return rng.uniform(0.5, 2, shape)
        if name == "gamma":
            return rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)
        if len(shape) == 1:
            return rng.normal(0, 0.3, shape)
        return rng.normal(0, scale / np.sqrt(np.prod(shape[:-1])), shape)

    model.set_weights([drawn(variable.name, tuple(variable.shape)) for variable in model.weights])
    return model


def random_bases(n, length, seed=0):
    """Codes 0 to 3, uint8 (n, length)."""
    return np.random.default_rng(seed).integers(0, 4, (n, length)).astype(np.uint8)


def close(a, b, atol=2e-5):
    """To what float32 leaves after some layers."""
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol)
