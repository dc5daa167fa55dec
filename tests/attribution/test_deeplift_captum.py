"""Captum explains the same weights, in PyTorch: Rescale and integrated gradients are the same there."""

import numpy as np
import pytest

from helpers.described_networks import basset_like, check_against_peer, sequences
from simbench_tf.attribution import attribute

needed = "captum and torch are not installed: pip install 'simbench_tf[parity]'"
torch, attr = (pytest.importorskip(name, reason=needed) for name in ("torch", "captum.attr"))

ALIKE = 1e-5


def in_torch(net):
    """A chain of `Net`'s nodes as a module of PyTorch, in float64."""

    class As(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    modules = [As(lambda x: x.transpose(1, 2))]
    for node in net.nodes[1:]:
        w = {name: torch.from_numpy(weight) for name, weight in node.weights.items()}
        if node.kind == "conv":
            made = torch.nn.Conv1d(*w["kernel"].shape[1:], w["kernel"].shape[0])
            made.weight.data, made.bias.data = w["kernel"].permute(2, 1, 0), w["bias"]
        elif node.kind == "dense":
            made = torch.nn.Linear(*w["kernel"].shape)
            made.weight.data, made.bias.data = w["kernel"].T, w["bias"]
        elif node.kind == "bn":
            made = torch.nn.BatchNorm1d(len(w["gamma"]), eps=1e-3)
            made.weight.data, made.bias.data, made.running_mean, made.running_var = w.values()
        elif node.kind == "activation":
            made = torch.nn.ReLU()
        elif node.kind == "max_pool":
            # Captum leaves its rule out where a ReLU stands right before the pool
            modules.append(As(lambda x: x * 1.0))
            made = torch.nn.MaxPool1d(node.settings["pool_size"])
        else:
            made = As(lambda x: x.transpose(1, 2).flatten(1))
        modules.append(made)
    return torch.nn.Sequential(*modules).double().eval()


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning")
def test_rescale_equals_captum():
    net = basset_like(seed=6)
    method = attr.DeepLift(in_torch(net))

    def explain(x, references):
        pairs = [torch.from_numpy(each.astype(float)) for each in (np.broadcast_to(x, references.shape), references)]
        return method.attribute(*pairs, target=1).detach().numpy().mean(axis=0)

    check_against_peer(net, explain, ALIKE)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning")
@pytest.mark.parametrize("n_steps", [2, 7, 20])
def test_integrated_gradients_equal_captum(n_steps):
    net = basset_like(seed=6)
    x, references = sequences(n=3, n_references=4)
    ours = attribute(net.model(), x, "integrated_gradients", target=1, references=references, n_steps=n_steps)
    method = attr.IntegratedGradients(in_torch(net))
    for row in range(len(x)):
        pairs = (np.broadcast_to(x[row], references[row].shape), references[row])
        inputs, baselines = (torch.from_numpy(each.astype(float)) for each in pairs)
        theirs = method.attribute(inputs, baselines, target=1, n_steps=n_steps, method="riemann_middle")
        theirs = theirs.detach().numpy().mean(axis=0)
        np.testing.assert_allclose(ours.contributions[row], theirs, rtol=0, atol=ALIKE * abs(theirs).max())
