"""The schema of configurations: each key is described, presets and short forms pass, and what is wrong does not."""

import json

import jsonschema
import pytest
import yaml
from test_findings import script

from helpers.program import simbench
from simbench_tf.config import config_dict, load_config, presets
from simbench_tf.config.schema import json_schema, keys

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def faults(text):
    return [error.json_path for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_every_key_has_a_type_and_a_meaning():
    found = list(keys())
    assert len(found) > 90
    assert [key for key in found if not key.meaning or key.type in ("any", "")] == []
    assert len({(key.record, key.name) for key in found}) == len(found)


def test_the_page_is_that_of_the_records():
    made = script("make_configuration")
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "python docs/make_configuration.py"


@pytest.mark.parametrize("name", presets())
def test_presets_pass_as_they_are_written_and_written_out(name):
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert faults(presets()[name].read_text()) == []
    assert list(VALIDATOR.iter_errors(config_dict(load_config(name)))) == []


GRAMMAR = "simulation: {kind: grammar}\n"


@pytest.mark.parametrize(
    "text",
    [
        "models: [{architecture: [basset, beluga], kernel_size: [7, 19], width: 0.5}]",
        'attribution: {methods: [{method: [ism, saliency]}, {method: deepshap, references: ["shuffle:5"], n: [1, 2]}]}',
        "dynamics: {method: saliency}",
        "attribution: {methods: [ism, {method: saliency}]}",
        "dynamics: {method: {method: deeplift_rescale, references: zeros}}",
        "training: {class_weight: {K562: 2}, xla: true, steps_per_execution: 5}",
    ],
)
def test_sweeps_and_short_forms_pass(text):
    assert faults(GRAMMAR + text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GRAMMAR + "sede: 1", "$"),
        (GRAMMAR + "training: {batch_size: 0}", "$.training.batch_size"),
        (GRAMMAR + "models: [{architecture: resnet}]", "$.models[0].architecture"),
        ("simulation: {kind: grammar, elements: [{motif: CTCF, gap: many}]}", "$.simulation"),
        ("name: x", "$"),
    ],
)
def test_what_is_wrong_does_not(text, where):
    assert faults(text) == [where]


def test_the_commands_print_what_can_be_used(monkeypatch, capsys, tmp_path):
    code, out, err = simbench(monkeypatch, capsys, "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()
    code, out, err = simbench(monkeypatch, capsys, "show", "demo", "--set", "training.max_batches=7")
    assert (code, err) == (0, "")
    (tmp_path / "mine.yaml").write_text(out)
    assert load_config(tmp_path / "mine.yaml") == load_config("demo", ["training.max_batches=7"])
    code, out, err = simbench(monkeypatch, capsys, "show", "dmo")
    assert (code, out) == (2, "")
    assert "did you mean 'demo'?" in err
