"""Plug-ins: what a package brings by entry points is found by name, checked, and its faults told in one line."""

import subprocess
import sys
from typing import Annotated, Literal

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from simbench_tf.cli.doctor import examine
from simbench_tf.config import load_config
from simbench_tf.config.load import config_dict
from simbench_tf.config.schema import json_schema
from simbench_tf.errors import InputError
from simbench_tf.plugins import GROUPS, checked_settings, find_plugin, installed_plugins, load_named, version_of
from simbench_tf.score import score_attributions, summarise

MODULE = """
import numpy as np
import pandas as pd
from typing import Annotated, Literal
from pydantic import Field
from simbench_tf.config import PluggedSimulation
from simbench_tf.motifs import Motif


def largest(scores, mask, *, factor: Annotated[float, Field(gt=0)] = 1.0):
    "The highest attribution."
    return factor * scores.max(axis=1)


def two_a_row(scores, mask):
    return scores


def failing(scores, mask):
    raise KeyError("gone")


def net(seq_length, n_tasks, *, n_filters: int = 4):
    "A network."


def first_bases(bases, scores, hypothetical, *, n: int = 5):
    return pd.DataFrame({"row": range(len(scores)), "start": 0, "end": n, "score": scores.max(axis=1)})


def beyond(bases, scores, hypothetical):
    return pd.DataFrame({"row": [0], "start": [3], "end": [scores.shape[1] + 1]})


class Alternating(PluggedSimulation):
    kind: Literal["alternating"]
    seq_length: Annotated[int, Field(ge=10)] = 20
    lies: bool = False

    @property
    def task_names(self):
        return ["even"]

    @property
    def length(self):
        return self.seq_length

    def used_motifs(self):
        return [Motif("GATA", "GATA1", np.eye(4)[[2, 0, 3, 0]], 10.0)]

    def draw(self, seed, first, last):
        even = np.array([number % 2 == 0 for number in range(first, last)])
        texts = [("CCGATA" if each else "").ljust(self.seq_length, "C") for each in even]
        motif = "TATA" if self.lies else "GATA"
        sites = pd.DataFrame({"row": np.flatnonzero(even), "start": 2, "end": 6, "strand": "+", "motif": motif})
        return pd.DataFrame({"sequence": texts, "even": even.astype(np.uint8)}), sites
"""
ENTRIES = {
    "metric": {"largest": "largest", "two_a_row": "two_a_row", "failing": "failing", "auprc": "largest"},
    "architecture": {"net": "net"},
    "caller": {"first_bases": "first_bases", "beyond": "beyond"},
    "simulator": {"alternating": "Alternating", "no_settings": "net"},
}


def install(folder, name, entries, module):
    """Lay a package into a folder, as pip does."""
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = []
    for kind, of_kind in entries.items():
        lines += [f"[{GROUPS[kind]}]", *(f"{each} = {name}:{attribute}" for each, attribute in of_kind.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if module is not None:
        (folder / f"{name}.py").write_text(module)


@pytest.fixture
def package(tmp_path, monkeypatch):
    install(tmp_path / "site", "of_tests", ENTRIES, MODULE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield "of_tests 1.2"
    sys.modules.pop("of_tests", None)


@pytest.fixture
def broken(tmp_path, monkeypatch):
    install(tmp_path / "other", "of_nobody", {"metric": {"lost": "lost", "largest": "lost"}}, None)
    monkeypatch.syspath_prepend(tmp_path / "other")


def config_of(folder, **parts):
    raw = {"simulation": {"kind": "grammar"}, **parts}
    (folder / "c.yaml").write_text(yaml.safe_dump(raw))
    return load_config(folder / "c.yaml")


def said(folder, **parts):
    with pytest.raises(InputError) as error:
        config_of(folder, **parts)
    return str(error.value).removeprefix(f"{folder / 'c.yaml'}: ")


def test_plugins_are_listed_with_their_package_and_none_is_imported(package):
    mine = [(each.kind, each.name) for each in installed_plugins() if each.package == package]
    assert mine == [(kind, name) for kind in GROUPS for name in sorted(ENTRIES.get(kind, ()))]
    assert "of_tests" not in sys.modules
    assert load_named("metric", "largest")(np.array([[1.0, 3.0]]), None).tolist() == [3.0]
    assert version_of("metric", "largest") == {"plugin": package}
    assert find_plugin("metric", "net") is None


def test_a_configuration_of_our_own_names_imports_no_plugin(package, tmp_path):
    config_of(tmp_path, models=[{"architecture": "beluga"}], discovery={"callers": ["seqlets"]})
    assert "of_tests" not in sys.modules


def test_faults_are_one_line_that_names_the_package(package, broken):
    with pytest.raises(
        InputError, match=r"^of_nobody 1\.2: its metric 'lost' cannot be loaded: ModuleNotFoundError: No"
    ):
        load_named("metric", "lost")
    with pytest.raises(InputError, match=r"^of_\w+ 1\.2 and of_\w+ 1\.2: bring a metric 'largest' each; uninstall one"):
        load_named("metric", "largest")
    with pytest.raises(InputError, match=r"^metric: 'largesd' is not known; did you mean 'largest'\?$"):
        load_named("metric", "largesd")


def test_the_doctor_says_which_plugins_load(package, broken):
    found = {each.part: each for each in examine()}
    assert found["architecture net"].works
    assert found["architecture net"].state == package
    assert not found["metric lost"].works
    assert "of_nobody 1.2" in found["metric lost"].state
    assert not found["metric lost"].needed


@given(st.integers(-5, 5))
def test_settings_are_held_to_their_annotations(value):
    def function(scores, *, width: Annotated[int, Field(ge=1)] = 3, kind: Literal["a", "b"] = "a"): ...

    if value >= 1:
        assert checked_settings(function, {"width": value}, "here") == {"width": value, "kind": "a"}
    else:
        with pytest.raises(InputError, match=r"^here: width: input should be greater than or equal to 1$"):
            checked_settings(function, {"width": value}, "here")


def test_settings_without_annotation_or_value_are_told():
    def bare(scores, *, width=3): ...

    def needing(scores, *, width: int): ...

    with pytest.raises(InputError, match="setting 'width' has no annotation"):
        checked_settings(bare, {}, "here")
    with pytest.raises(InputError, match=r"^here: width: field required$"):
        checked_settings(needing, {}, "here")


def test_metrics_are_columns_after_ours_and_nothing_where_nothing_can_be_found(package):
    scores = np.array([[1.0, -2.0, 5.0], [3.0, 4.0, 2.0], [9.0, 9.0, 9.0]])
    mask = np.array([[True, False, False], [False, True, False], [False, False, False]])
    table = score_attributions(scores, mask, metrics={"largest": {"factor": 2.0}})
    assert table.columns[-1] == "largest"
    assert table["largest"].tolist()[:2] == [10.0, 8.0]
    assert np.isnan(table["largest"][2])
    summary = summarise(table, ["largest"])
    assert (summary["largest"], summary["largest_se"]) == (9.0, pytest.approx(1.0))
    assert summary["auprc"] == summarise(score_attributions(scores, mask))["auprc"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "two_a_row",
            r"^of_tests 1\.2: its metric 'two_a_row' gave \(1, 3\) values for 1 sequences, or an infinite one",
        ),
        ("failing", r"^of_tests 1\.2: its metric 'failing' failed: KeyError: 'gone'; mend the package"),
    ],
)
def test_metrics_that_give_something_else_are_told(package, name, message):
    with pytest.raises(InputError, match=message):
        score_attributions(np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, False]]), metrics=[name])


def test_configurations_name_plugins_with_their_settings(package, tmp_path):
    config = config_of(
        tmp_path,
        simulation={"kind": "alternating", "seq_length": 30},
        models=[{"architecture": "net", "settings": {"n_filters": 9}}],
        scoring={"metrics": ["largest"]},
        discovery={"callers": ["seqlets", "first_bases"], "settings": {"first_bases": {"n": 7}}},
    )
    assert (config.tasks, config.simulation.length, config.models[0].is_plugged) == (["even"], 30, True)
    plain = config_dict(config)
    simulation = {"kind": "alternating", "n_sequences": 1000, "splits": {"valid": 0.1, "test": 0.2}}
    assert plain["simulation"] == {**simulation, "seq_length": 30, "lies": False}
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(plain))
    assert load_config(tmp_path / "again.yaml") == config


def test_the_schema_for_editors_knows_the_plugins_that_are_installed(package):
    good = {"simulation": {"kind": "alternating", "seq_length": 30}, "models": [{"architecture": "net"}]}
    validator = jsonschema.Draft202012Validator(json_schema())
    assert not list(validator.iter_errors(good | {"discovery": {"callers": ["first_bases"]}}))
    assert list(validator.iter_errors(good | {"models": [{"architecture": "nett"}]}))
    assert list(validator.iter_errors(good | {"discovery": {"callers": ["last_bases"]}}))
    assert list(validator.iter_errors({"simulation": {"kind": "alternating", "seq_length": 3}}))


def test_what_is_wrong_with_a_plugins_settings_is_told_at_its_key(package, tmp_path):
    simulation = {"kind": "alternating", "seq_lenght": 30}
    assert said(tmp_path, simulation=simulation).startswith(
        "unknown key 'simulation.seq_lenght'; did you mean 'seq_length'?"
    )
    simulation = {"kind": "alternating", "seq_length": 3}
    assert said(tmp_path, simulation=simulation) == "simulation.seq_length: Input should be greater than or equal to 10"
    assert said(tmp_path, simulation={"kind": "alternatin"}) == (
        "simulation.kind: must be peaks, grammar, text, alternating or no_settings"
    )
    assert "no PluggedSimulation" in said(tmp_path, simulation={"kind": "no_settings"})
    assert "unknown setting 'filters'; did you mean 'n_filters'?" in said(
        tmp_path, models=[{"architecture": "net", "settings": {"filters": 9}}]
    )
    assert "width is a setting of `architecture` basset or beluga" in said(
        tmp_path, models=[{"architecture": "net", "width": 0.5}]
    )
    assert "'bassett' is not known; did you mean 'basset'?" in said(tmp_path, models=[{"architecture": "bassett"}])
    assert "'auprc' is a column of its own" in said(tmp_path, scoring={"metrics": ["auprc"]})
    assert "factor: input should be greater than 0" in said(
        tmp_path, scoring={"metrics": [{"metric": "largest", "factor": -1}]}
    )
    assert "'modiscoo' is not known; did you mean 'modisco'?" in said(tmp_path, discovery={"callers": ["modiscoo"]})
    assert "settings names 'first_bases', which is no caller" in said(
        tmp_path, discovery={"settings": {"first_bases": {"n": 7}}}
    )


def test_a_simulator_draws_a_data_set_of_any_stretches(package, tmp_path):
    from simbench_tf.dataset import open_dataset
    from simbench_tf.simulate.plugged import draw_plugged
    from simbench_tf.stages.simulate import simulate

    config = config_of(tmp_path, seed=5, simulation={"kind": "alternating", "n_sequences": 60})
    simulate(config, tmp_path / "run")
    dataset = open_dataset(tmp_path / "run" / "dataset")
    assert dataset.kind == "alternating"
    assert sum(dataset.counts.values()) == 60
    sites = dataset.sites
    assert len(sites) == 30
    assert set(sites["matched"]) == {"GATA"}
    assert set(sites["tf"]) == {"GATA1"}
    assert sites["score"].isna().all()
    for split in dataset.counts:
        assert (dataset.mask(split).sum(axis=1) == 4 * dataset.labels(split)[:, 0]).all()
    whole = draw_plugged(config.simulation, 5, package, 0, 60).sequences
    parts = [draw_plugged(config.simulation, 5, package, *bounds).sequences for bounds in ((0, 20), (20, 60))]
    assert whole["split"].to_pylist() == [split for part in parts for split in part["split"].to_pylist()]


def test_a_simulator_whose_sites_are_of_no_motif_is_told(package, tmp_path):
    from simbench_tf.simulate.plugged import draw_plugged

    config = config_of(tmp_path, simulation={"kind": "alternating", "lies": True})
    with pytest.raises(
        InputError, match=r"^of_tests 1\.2: its simulator failed on sequences 0 to 4: ValueError: a site of 'T"
    ):
        draw_plugged(config.simulation, 1, package, 0, 4)


def test_callers_give_places_in_the_sequences(package):
    from simbench_tf.discovery.plugged_callers import call_plugged

    scores = np.array([[1, 2, 3, 0, 0, 0], [0, 0, 0, 0, 9, 0]], np.float32)
    arrays = (np.zeros((2, 6), np.uint8), scores, np.zeros((2, 6, 4), np.float32))
    called = call_plugged("first_bases", {"n": 4}, *arrays)
    places = {"row": [0, 1], "start": [0, 0], "end": [4, 4], "strand": [".", "."]}
    assert called.to_dict("list") == {**places, "motif": ["first_bases"] * 2, "score": [3, 9]}
    with pytest.raises(
        InputError, match=r"^of_tests 1\.2: its caller 'beyond' failed: ValueError: row 0, 3 to 7, is no"
    ):
        call_plugged("beyond", {}, *arrays)


def test_listing_plugins_needs_neither_numpy_nor_tensorflow():
    code = (
        "import sys, simbench_tf.plugins as p; list(p.installed_plugins()); print({'numpy', 'keras'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
