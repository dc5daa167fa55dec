"""The audit of a model: a row an operation, the rule it gets, and deltas that tell a wrong rule."""

import keras
import numpy as np
import pytest
from keras import layers

import simbench_tf as sb
from helpers.program import simbench
from helpers.random_graphs import random_model
from simbench_tf.attribution.audit import summary_of
from simbench_tf.attribution.deeplift.composite import Composite


def test_every_operation_has_a_row_its_rule_and_a_delta():
    model = random_model(1, ["transformer", "pooled", "squeeze_excite"], [True, False, False], "softmax")
    table = sb.audit(model)
    rule = dict(zip(table["layer"], table["rule"], strict=True))
    assert rule["multi_head_attention"] == "linear, product, softmax"
    assert rule["layer_normalization"] == "linear, product, elementwise"
    assert rule["max_pooling1d"] == "maximum"
    assert rule["multiply"] == "product"
    assert table.loc[table["kind"] == "Dense", "rule"].tolist().count("linear, softmax") == 1
    # of a single layer, whose output may hardly change
    assert table["delta"].between(0, 1e-4).all()
    assert 0 < table.attrs["delta"] < 1e-5
    assert summary_of(table).startswith(f"all {len(table)} operations have a rule; on 10 sequences")


def test_a_wrong_multiplier_shows_in_its_row(monkeypatch):
    model = random_model(1, ["layer_norm", "conv"], [False, False], "average")
    back = Composite.backward
    monkeypatch.setattr(Composite, "backward", lambda *args: tuple(m.map(lambda v: 1.5 * v) for m in back(*args)))
    table = sb.audit(model)
    off = table["delta"] > 1e-3
    assert table.loc[off, "kind"].tolist() == ["LayerNormalization"]
    assert table.attrs["delta"] > 1e-3


def recurrent():
    inputs = keras.Input((8, 4))
    hidden = layers.Dropout(0.3)(layers.Conv1D(3, 3, activation="relu", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(1, "sigmoid", name="last")(layers.LSTM(3, name="memory")(hidden)))


def test_a_layer_without_a_rule_is_a_row():
    table = sb.audit(recurrent())
    assert table["kind"].tolist() == ["Conv1D", "Dropout", "LSTM", "Dense"]
    assert table["rule"].tolist() == ["linear, elementwise", "nothing to do", "no rule", "linear"]
    assert table["note"].tolist() == ["", "", "DeepLIFT has no rule for LSTM", ""]
    assert np.isnan(table["delta"]).all()
    assert "1 of 4 operations have no rule (memory)" in summary_of(table)


def test_a_model_that_attribution_does_not_take():
    with pytest.raises(sb.InputError, match="takes input of shape"):
        sb.audit(keras.Sequential([keras.Input((8,)), layers.Dense(1)]))


def test_doctor_prints_it(tmp_path, monkeypatch, capsys):
    recurrent().save(tmp_path / "memory.keras")
    code, out, err = simbench(monkeypatch, capsys, "doctor", "--model", tmp_path / "memory.keras")
    said = " ".join((out + err).split())
    assert code == 0
    assert "no rule: DeepLIFT has no rule for LSTM" in said
    assert "DeepLIFT refuses the model" in said
