"""The entries of model_zoo are what an export makes today, and its page is made from them."""

import importlib.util
import json

import pytest
import yaml

from helpers.folders import REPOSITORY
from simbench_tf.export.entry_files import dataloader_description, template
from simbench_tf.export.review import objections
from simbench_tf.run.results import read_table

ZOO = REPOSITORY / "model_zoo"
ENTRIES = sorted(path.parent.name for path in ZOO.glob("*/model.yaml"))


def described(name, file="model.yaml"):
    return yaml.safe_load((ZOO / name / file).read_text())


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("code", ["model.py", "dataloader.py"])
def test_code_is_that_of_the_template(name, code):
    assert (ZOO / name / code).read_text() == template(code), "copy it from simbench_tf/export/templates"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_data_loader_is_described_as_today(name):
    loader = described(name, "dataloader.yaml")
    length = loader["output_schema"]["inputs"]["shape"].strip("()").split(",")[0]
    today = dataloader_description(int(length), loader["info"]["authors"], loader["info"]["license"])
    assert {**loader, "dependencies": 0} == {**today, "dependencies": 0}


@pytest.mark.parametrize("name", ENTRIES)
def test_metrics_are_those_that_were_kept(name):
    kept = read_table(REPOSITORY / "results" / "five_lines.csv")
    kept = kept[kept["model"] == name.removeprefix("five_lines_")].set_index("task")
    metrics = json.loads((ZOO / name / "metrics.json").read_text())
    assert list(metrics) == kept.index.tolist() == described(name)["schema"]["targets"]["column_labels"]
    for task, one in metrics.items():
        told = {key: one[key] for key in ("auroc", "auprc", "oracle_auroc", "oracle_auprc")}
        assert told == kept.loc[task, list(told)].to_dict()
        assert f"{task} auROC {one['auroc']:.3f} (ceiling: {one['oracle_auroc']:.3f})" in described(name)["info"]["doc"]


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_is_left_but_names_and_uploads(name):
    found = objections(ZOO / name)
    assert len(found) == 6
    assert [each.must for each in found] == [True] * 4 + [False] * 2
    told = ["info.authors names nobody", "args.weights is a file", "fasta_file.example is a file"]
    told += ["intervals_file.example is a file", "info.contributors has nobody", "test.expect is no url"]
    assert all(part in each.text for part, each in zip(told, found, strict=True))


def test_the_page_is_that_of_the_entries():
    spec = importlib.util.spec_from_file_location("make_model_zoo", REPOSITORY / "docs" / "make_model_zoo.py")
    script = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "docs"))
        spec.loader.exec_module(script)
    page = script.PAGE.read_text(encoding="utf-8")
    assert page == script.page(), "make it again by docs/make_model_zoo.py"
    assert "K562 0.848 (0.869, 94%) | 1.0 MB |" in page
