"""Carry the weights of a trained Keras BPNet over to PyTorch: python carry_weights.py MODEL.keras WEIGHTS.pt."""

import sys

import keras
import numpy as np
import torch

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
from bpnet import build_torch


def main(trained: str, carried: str) -> None:
    """Write a state_dict, and see that both networks predict the same."""
    model = keras.saving.load_model(trained, compile=False)
    *convolutions, last = [layer for layer in model.layers if layer.weights]
    module = build_torch(model.output_shape[-1])
    with torch.no_grad():
        for layer, target in zip(convolutions, [module.first, *module.tower], strict=True):
            kernel, bias = layer.get_weights()  # kernel: width, in, out
            target.weight.copy_(torch.from_numpy(kernel.transpose(2, 1, 0).copy()))
            target.bias.copy_(torch.from_numpy(bias))
        kernel, bias = last.get_weights()
        module.last.weight.copy_(torch.from_numpy(kernel.T.copy()))
        module.last.bias.copy_(torch.from_numpy(bias))
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (10, model.input_shape[1]))]
    with torch.no_grad():
        found = module(torch.from_numpy(x.transpose(0, 2, 1).copy())).numpy()
    apart = np.abs(found - model.predict(x, verbose=0)).max()
    if apart > 1e-5:
        sys.exit(f"the two networks differ by {apart:.1e}")
    torch.save(module.state_dict(), carried)
    print(f"{carried}: predictions of ten sequences differ by {apart:.1e} at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
