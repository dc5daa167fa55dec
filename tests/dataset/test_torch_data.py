"""A split as PyTorch's data set: the values of every item, through workers of both kinds."""

import pickle
import sys

import numpy as np
import pytest

from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

reason = "torch is not installed: pip install 'simbench_tf[torch]'"


@pytest.fixture(scope="module")
def dataset(tiny_run):
    return open_dataset(tiny_run / "dataset")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=reason)


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_items_are_the_split(torch, dataset, layout):
    data = dataset.torch_dataset("test", layout=layout)
    assert isinstance(data, torch.utils.data.Dataset)
    assert len(data) == dataset.counts["test"]
    x, y = (torch.stack(each) for each in zip(*data, strict=True))
    assert (x.dtype, y.dtype) == (torch.float32, torch.float32)
    expected = one_hot(dataset.bases("test"))
    np.testing.assert_array_equal(x.numpy(), expected.transpose(0, 2, 1) if layout == "NCL" else expected)
    np.testing.assert_array_equal(y.numpy(), dataset.labels("test"))
    np.testing.assert_array_equal(data[-1][0], x[-1])


def test_by_default_channels_come_first(torch, dataset):
    assert dataset.torch_dataset("train")[0][0].shape == (4, dataset.seq_length)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_the_same_batches(torch, dataset, start):
    data = dataset.torch_dataset("valid")
    loader = torch.utils.data.DataLoader(data, batch_size=32, num_workers=1, multiprocessing_context=start)
    x, y = (torch.cat(each) for each in zip(*loader, strict=True))
    np.testing.assert_array_equal(x.numpy(), one_hot(dataset.bases("valid")).transpose(0, 2, 1))
    np.testing.assert_array_equal(y.numpy(), dataset.labels("valid"))


def test_it_can_be_pickled(torch, dataset):
    data = pickle.loads(pickle.dumps(dataset.torch_dataset("test", "NLC")))
    np.testing.assert_array_equal(data[5][0].numpy(), one_hot(dataset.bases("test")[5:6])[0])


def test_what_cannot_be_given_says_so(dataset, monkeypatch):
    with pytest.raises(ValueError, match="there is no split 'all', only"):
        dataset.torch_dataset("all")
    with pytest.raises(ValueError, match='layout is "NCL" or "NLC", not "CL"'.replace('"CL"', "'CL'")):
        dataset.torch_dataset("test", layout="CL")
    from simbench_tf.dataset import torch_data

    torch_data._dataset_class.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        InputError, match=r"torch_dataset: needs torch, which is not .*; pip install 'simbench_tf\[torch\]'"
    ):
        dataset.torch_dataset("test")
