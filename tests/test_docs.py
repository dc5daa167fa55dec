"""Documentation agrees with the code: docs/files.md with real runs, docs/architecture.md with the layers, links."""

import importlib
import importlib.util
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from helpers.callers import write_modisco
from helpers.tiny_run import RULED_SIMULATION, TINY_RUN
from simbench_tf import dynamics, pipeline, tables
from simbench_tf.config import AttributionSettings, Config, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dataset.files import CHECKSUMS, DEFAULT_SCAN, DESCRIPTION, OWN_CHECKSUM
from simbench_tf.devices import Computation
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.motifs import Motif, write_meme
from simbench_tf.plugins import GROUPS
from simbench_tf.run import verify
from simbench_tf.run.attributions import attributed_rows, attribution_files
from simbench_tf.run.parts import PartsFolder, write_part
from simbench_tf.score import METRICS, faithfulness, mean_pair_score, satisfiability, score_attributions
from simbench_tf.score.truth_free import TRUTH_FREE
from simbench_tf.simulate.peaks.enrichment import MOTIF_LOG_COLUMNS
from simbench_tf.stages.attribute import OF_PAIRS
from simbench_tf.stages.found_motifs import score_found
from simbench_tf.stages.kmer_classifier import kmer_classifier

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "simbench_tf"
FOLDERS = (".", "docs", "docs/methods", "benchmarks", "model_zoo")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))

#: What stands for a name in the paths, columns and keys of docs/files.md; anything else in capitals is itself.
PLACEHOLDERS = {"NUMBER": r"\d+", "FIRST": r"\d+", "STOP": r"\d+", "NNNNNNN": r"\d{7}", "NNNNN": r"\d{5}"}
PLACEHOLDERS |= dict.fromkeys(["MODEL", "TASK", "KEY", "CALLER", "NAME", "FILE"], r"[^/]+")
PLACEHOLDERS |= dict.fromkeys(["PATH", "SPLIT", "ELEMENT"], ".+")
PLACEHOLDERS |= {"CHECKSUM": "[0-9a-f]{32}", "TIME": r"[\dTZ-]+", "PID": r"\d+"}

#: Files that the runs below do not have: of other kinds of models, of training that goes on, of options.
NOT_HERE = {
    ".simbench.lock",  # while a process writes
    "genome/FILE",
    "dataset/sites/part-NNNNN.parquet",
    "models/MODEL/python.json",
    "models/MODEL/TASK.lsgkm.txt",
    "models/MODEL/kipoi.json",
    "models/MODEL/saved_model.json",
    "models/MODEL/trained.json",
    "models/MODEL/ensemble.json",
    "models/MODEL/torch.json",
    "models/MODEL/weights.pt",
    "models/MODEL/onnx.json",
    "models/MODEL/model.onnx",
    "models/MODEL/checkpoint.npz",
    "models/MODEL/checkpoint.previous.npz",
    "models/MODEL/tensorboard/FILE",
    "knockouts/MODEL/TASK/KEY.parts/NUMBER/FIRST-STOP-CHECKSUM.h5",
    "oracle/site_values.parquet.parts/FIRST-STOP-CHECKSUM.h5",
    # of a twin of real peaks
    "likeness.csv",
    "twin.yaml",
    "twin.meme",
    # of real callers, which want more sequences than a test has; and of peaks
    "motifs/MODEL/TASK/KEY/modisco/modisco.h5",
    "motifs/MODEL/TASK/KEY/finemo/hits.tsv",
    "motifs/MODEL/TASK/KEY/CALLER/motifs.meme",
    "motifs/MODEL/TASK/KEY/CALLER/motifs.csv",
    "motifs/MODEL/TASK/KEY/CALLER/nothing.txt",
    "motifs/MODEL/TASK/KEY/seqlets/pvalues.bw",
}


#: Folders of models that are shared, which the runs below do not have either.
SHARED = ("kipoi/", "huggingface/", "zenodo/")

#: Columns of tables that pieces of are kept beside what was scored.
SCORED = {"instances.csv": tables.INSTANCE_COLUMNS, "motifs.csv": tables.FOUND_MOTIF_COLUMNS}


# docs/files.md, read


class Entry(NamedTuple):
    """A column, array, attribute or key, as the page has it."""

    name: str
    type: str
    missing: str


#: For each documented path, its tables: "column", "array", "attribute" or "key" -> entries.
Page = dict[str, dict[str, list[Entry]]]


def read_page(text: str) -> Page:
    page: Page = {}
    path = kind = ""
    for line in text.splitlines():
        if line.startswith("### "):
            path = line.removeprefix("### ").strip("`")
            assert path not in page, f"{path} stands twice on the page"
            page[path] = {}
        elif line.startswith("## "):
            path = ""
        elif line.startswith("|") and path:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if cells[1:] == ["type", "what", "missing"]:
                kind = cells[0]
                page[path][kind] = []
            elif not cells[0].startswith("---"):
                page[path][kind] += [Entry(name, cells[1], cells[3]) for name in re.findall("`(.+?)`", cells[0])]
    return page


@cache
def page() -> Page:
    return read_page((ROOT / "docs" / "files.md").read_text(encoding="utf-8"))


def names(path: str, kind: str = "column") -> list[str]:
    return [entry.name for entry in page()[path][kind]]


def pattern(documented: str) -> re.Pattern:
    pieces = re.split(f"({'|'.join(PLACEHOLDERS)})", documented)
    return re.compile("".join(PLACEHOLDERS.get(piece) or re.escape(piece) for piece in pieces))


# what a file holds: name -> (whether the documented type is its type, whether a value is missing)


class Held(NamedTuple):
    """A column, array, attribute or key of a real file."""

    types: tuple[str, ...]
    missing: bool


def held_by(path: Path) -> dict[str, dict[str, Held]]:
    if path.suffix in (".csv", ".tsv"):
        separator = "," if path.suffix == ".csv" else "\t"
        table = pd.read_csv(path, sep=separator, keep_default_na=False, na_values=[""], dtype=str)
        return {"column": {name: Held(csv_types(table[name].dropna()), table[name].hasnans) for name in table}}
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        spelt = {"large_string": "string", "double": "float64", "float": "float32"}
        types = {field.name: spelt.get(str(field.type), str(field.type)) for field in table.schema}
        return {"column": {name: Held((types[name],), bool(table[name].null_count)) for name in types}}
    if path.suffix == ".h5":
        return held_by_hdf5(path)
    if path.suffix == ".json":
        return {"key": dict(flat(json.loads(path.read_text(encoding="utf-8"))))}
    if path.suffix == ".yaml":
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {"key": {name: Held(types_of(value), value is None) for name, value in values.items()}}
    return {}


def csv_types(values: pd.Series) -> tuple[str, ...]:
    found = ["text"]
    if values.isin(["True", "False"]).all():
        found.append("bool")
    if values.str.fullmatch(r"-?\d+").all():
        found.append("int")
    if pd.to_numeric(values, errors="coerce").notna().all():
        found.append("float")
    return tuple(found)


def held_by_hdf5(path: Path) -> dict[str, dict[str, Held]]:
    arrays = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            kind = {"S": "bytes", "O": "text"}.get(item.dtype.kind, str(item.dtype))
            missing = item.dtype.kind == "f" and bool(np.isnan(item[:]).any())
            arrays[name] = Held((f"{kind}, {item.ndim} axes",), missing)

    with h5py.File(path) as h5:
        h5.visititems(note)
        attributes = {
            name: Held(("text" if isinstance(value, str) else str(value.dtype),), False)
            for name, value in h5.attrs.items()
        }
    return {"array": arrays, "attribute": attributes}


def types_of(value) -> tuple[str, ...]:
    if isinstance(value, list):
        return ("list", *(f"list of {kind}" for kind in ("text", "int", "float") if all_are(value, kind)))
    kinds = ("text", "bool", "int", "float", "mapping")
    return ("null",) if value is None else tuple(kind for kind in kinds if all_are([value], kind))


def all_are(values, kind: str) -> bool:
    kinds = {"text": str, "bool": bool, "int": int, "float": (int, float), "mapping": dict}
    return all(isinstance(each, kinds[kind]) and (kind == "bool" or not isinstance(each, bool)) for each in values)


def flat(values: dict, before: str = ""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield from flat(each, f"{before}{name}[].")
        else:
            yield f"{before}{name}", Held(types_of(value), value is None)


# one against the other


def problems(documented: Page, folder: Path, tasks: list[str]) -> list[str]:
    """What the files of a folder hold and the page does not, and the other way round."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        fitting = [each for each in documented if pattern(each).fullmatch(name)]
        if len(fitting) != 1:
            found.append(f"{name} is described by {fitting}")
            continue
        if pattern("models/MODEL/snapshots/batch-NNNNNNN.weights.h5").fullmatch(name):
            continue  # Keras' own format
        if name.startswith("motifs/") and name.endswith((".csv", "hits.tsv")) and not documented[fitting[0]]:
            # a piece of a table under scores/, or another program's
            found += [f"{name} has {each}" for each in held_by(file)["column"] if each not in SCORED.get(file.name, ())]
            continue
        held = {} if name.startswith("kipoi/") and file.suffix == ".yaml" else held_by(file)
        for kind in {*held, *documented[fitting[0]]}:
            entries = documented[fitting[0]].get(kind, [])
            found += [f"{name}: {each}" for each in differences(entries, held.get(kind, {}), tasks)]
    return found


def differences(entries: list[Entry], held: dict[str, Held], tasks: list[str]) -> list[str]:
    of_tasks = [entry._replace(name=entry.name.replace("TASK", task)) for entry in entries for task in tasks]
    entries = list(dict.fromkeys(of_tasks))
    found = []
    for name, each in held.items():
        # of a column TASK and another that is called so, the one spelt out
        fitting = [entry for entry in entries if pattern(entry.name).fullmatch(name)]
        if not fitting:
            found.append(f"{name} is not on the page")
        elif not {typed(fitting[0].type), "null"} & {*each.types}:
            found.append(f"{name} is {each.types}, not {fitting[0].type}")
        elif fitting[0].missing == "never" and each.missing:
            found.append(f"{name} has missing values")
    wanted = [entry.name for entry in entries if "absent" not in entry.missing]
    unheld = [name for name in wanted if not any(pattern(name).fullmatch(each) for each in held)]
    return found + [f"{name} is on the page, not in the file" for name in unheld]


def typed(documented: str) -> str:
    """A documented type as files spell it: "float32 (N, L)" has two axes."""
    kind, _, shape = documented.partition(" (")
    return f"{kind}, {len([axis for axis in shape.strip(')').split(',') if axis.strip()])} axes" if shape else kind


TASKS = list(TINY_RUN["simulation"]["tasks"])
#: Rules, a pair's knock-outs, seeds, learning dynamics, a warm-up: what TINY_RUN is without.
FULL_RUN = {
    **TINY_RUN,
    "simulation": RULED_SIMULATION,
    "models": [{**TINY_RUN["models"][0], "seeds": 2}, {"name": "planted", "architecture": "planted"}],
    "training": {"batch_size": 50, "max_batches": 4, "warmup_batches": 2},
    "dynamics": {"checkpoints": 2, "n_sequences": 16, "tasks": ["K562"]},
    "attribution": {
        "n_sequences": 12,
        "tasks": ["K562"],
        "arrays": ["contributions", "hypothetical"],
        "methods": [{"method": "grad_x_input"}, {"method": "dependency_map", "window": 40}],
    },
    "scoring": {"site_importance": True, "truth_free": True},
    "discovery": {},
}


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    """A run with all that is optional, an attribution of another tool, and the parts of a file that is not done."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "c.yaml").write_text(yaml.safe_dump(FULL_RUN))
    config, run = load_config(folder / "c.yaml"), folder / "run"
    pipeline.run(config, run)
    file = attribution_files(config, run)[0]
    with h5py.File(file.path) as h5:
        np.savez(folder / "theirs.npz", scores=h5["scores"][:])
        arrays = {name: h5[name][:] for name in ("scores", "contributions", "hypothetical")}
    take_attributions(config, run, folder / "theirs.npz", model=file.model, task=file.task)
    pipeline.score(config, run)
    places = [(row, 20, 50, False) for row in range(5)]
    dataset = open_dataset(run / "dataset")
    explained = dataset.bases("test")[attributed_rows(dataset, config, file.task)]
    write_modisco(folder / "modisco.h5", explained, [(places, np.ones(30))])
    (folder / "calls.tsv").write_text("row\tstart\tend\tscore\tfdr\n0\t9\t19\t1\t.05\n")
    for name in ("modisco.h5", "calls.tsv"):
        score_found(config, run, folder / name, model=file.model, task=file.task)
    seconds = np.zeros(1, np.float32)
    write_part(PartsFolder(file.path.with_suffix(".parts"), "key"), 0, {**arrays, "seconds": seconds})
    return run


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Data sets of the other two kinds, peaks and text, of one task each."""
    folder = tmp_path_factory.mktemp("simulated")
    letters = np.random.default_rng(0).choice(list("ACGT"), 12_000)
    for start in range(150, 12_000, 600):
        letters[start : start + 10] = list("TGACTCATGC")
    (folder / "genome.fa").write_text(f">chr1\n{''.join(letters)}\n")
    for name, first in (("peaks.bed", 100), ("background.bed", 400)):
        (folder / name).write_text("".join(f"chr1\t{at}\t{at + 100}\n" for at in range(first, 12_000, 600)))
    ppm = np.full((10, 4), 0.01)
    ppm[np.arange(10), [3, 2, 0, 1, 3, 1, 0, 3, 2, 1]] = 0.97
    write_meme([Motif("M1", "AP-1", ppm, 100.0)], folder / "motifs.meme")
    sites = [f"p{i}\tACGATATT\tGATA_pos-True_2-6_5.5_0.001_nan_GATA\n" for i in range(20)]
    (folder / "positives.txt").write_text("".join(sites))
    (folder / "negatives.txt").write_text("".join(f"n{i}\tACGTACGT\t\n" for i in range(20)))
    splits = {"valid": 0, "test": 0.3}
    peaks = {"kind": "peaks", "genome": "genome.fa", "peaks": {"K562": "peaks.bed"}, "background": "background.bed"}
    peaks |= {"region_size": 100, "motifs": "motifs.meme", "scan_pvalue": 1e-5, "min_pos_hits": 10, "splits": splits}
    text = {"kind": "text", "positives": {"K562": "positives.txt"}, "negatives": "negatives.txt", "splits": splits}
    runs = []
    for simulation in (peaks, text):
        path = folder / f"{simulation['kind']}.yaml"
        path.write_text(yaml.safe_dump({"name": "small", "simulation": simulation}))
        runs.append(path.with_suffix(""))
        config = load_config(path)
        pipeline.simulate(config, runs[-1])
        kmer_classifier(config, runs[-1], ["K562"])
    return runs


def test_a_run_holds_what_its_page_says(tiny_run):
    assert problems(page(), tiny_run, TASKS) == []


@pytest.mark.slow
def test_a_run_with_all_that_is_optional_holds_what_its_page_says(full_run):
    assert problems(page(), full_run, TASKS) == []


@pytest.mark.slow
def test_verify_finds_nothing_wrong_with_a_run_with_all_that_is_optional(full_run):
    assert list(verify.problems(full_run)) == []


def test_data_sets_of_other_kinds_hold_what_the_page_says(simulated):
    for run in simulated:
        assert problems(page(), run, ["K562"]) == []
    log = pd.read_csv(simulated[0] / "dataset" / "motif_log.csv")
    assert list(log) == names("dataset/motif_log.csv") == list(MOTIF_LOG_COLUMNS)


def test_a_kipoi_entry_holds_what_the_page_says():
    entry = ROOT / "model_zoo" / "five_lines_basset"
    files = {f"kipoi/MODEL/{path.relative_to(entry).as_posix()}" for path in entry.rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name and not name.endswith(".fai")} == {
        path for path in page() if path.startswith("kipoi/")
    }
    predictions = "example_files/predictions.h5"
    held = held_by(entry / predictions)["array"]
    assert differences(page()[f"kipoi/MODEL/{predictions}"]["array"], held, TASKS) == []


@pytest.mark.slow
def test_shared_folders_hold_what_the_page_says(tiny_run, tmp_path):
    from simbench_tf.export import export_huggingface, export_zenodo

    export_huggingface(tiny_run, "basset", tmp_path / "huggingface" / "basset")
    assert problems(page(), tmp_path, TASKS) == []
    folder = export_zenodo(tiny_run, "basset", tmp_path / "zenodo" / "basset").folder
    documented = {path for path in page() if path.startswith("zenodo/")}
    files = [f"zenodo/basset/{path.name}" for path in folder.iterdir()]
    assert len(files) == len(documented)
    for file in files:
        assert any(pattern(path).fullmatch(file) for path in documented), file


@pytest.mark.slow
def test_every_file_of_the_page_is_one_of_a_run(tiny_run, full_run, simulated):
    files = [
        path.relative_to(run).as_posix()
        for run in (tiny_run, full_run, *simulated)
        for path in run.rglob("*")
        if path.is_file()
    ]
    absent = {path for path in page() if not any(pattern(path).fullmatch(file) for file in files)}
    assert {path for path in absent if not path.startswith(SHARED)} == NOT_HERE


def test_whatever_is_taken_from_the_page_is_missed(tiny_run):
    for path in ("scores/summary.csv", "dataset/sites.parquet", "oracle/occupancy.h5", "models/MODEL/metrics.json"):
        held = held_by(tiny_run / path.replace("MODEL", "basset"))
        for kind, entries in page()[path].items():
            for number, entry in enumerate(entries):
                less = entries[:number] + entries[number + 1 :]
                missed = f"{entry.name.replace('TASK', TASKS[0])} is not on the page"
                assert missed in differences(less, held[kind], TASKS)
    less = {path: each for path, each in page().items() if path != "report.html"}
    assert problems(less, tiny_run, TASKS) == ["report.html is described by []"]


def test_what_a_page_promises_too_much_is_found():
    entries = [
        Entry("auroc", "float", "never"),
        Entry("n", "int", "never"),
        Entry("auprc", "float", "absent for peaks"),
    ]
    held = {"auroc": Held(("text", "float"), True), "n": Held(("text", "float"), False), "new": Held(("text",), False)}
    assert differences(entries, held, ["K562"]) == [
        "auroc has missing values",
        "n is ('text', 'float'), not int",
        "new is not on the page",
    ]
    assert differences(entries[:1], {}, ["K562"]) == ["auroc is on the page, not in the file"]


def test_columns_of_the_page_are_those_of_the_code():
    assert names("dataset/sequences/part-NNNNN.parquet") == [*tables.SEQUENCE_COLUMNS, "TASK"]
    assert names("dataset/sites.parquet") == list(tables.SITE_COLUMNS)
    assert names("scores/summary.csv") == list(tables.SUMMARY_COLUMNS)
    assert names("scores/motif_recall.csv") == list(tables.MOTIF_RECALL_COLUMNS)
    assert names("scores/comparisons.csv") == list(tables.COMPARISON_COLUMNS)
    assert names("scores/variance.csv") == list(tables.VARIANCE_COLUMNS)
    assert names("scores/misses.csv") == list(tables.MISSES_COLUMNS)
    assert names("scores/site_importance.csv") == list(tables.SITE_IMPORTANCE_COLUMNS)
    columns = [column for name in TRUTH_FREE for column in (name, f"{name}_se")]
    assert names("scores/truth_free.csv") == [*tables.TRUTH_FREE_KEYS, *columns]
    assert names("scores/interacting_pairs.csv") == list(tables.INTERACTING_PAIRS_COLUMNS)
    assert list(mean_pair_score([])) == list(tables.INTERACTING_PAIRS_COLUMNS[3:])
    assert names("scores/instances.csv") == list(tables.INSTANCE_COLUMNS)
    assert names("scores/motifs.csv") == list(tables.FOUND_MOTIF_COLUMNS)
    assert names("scores/kmer_classifier.csv") == list(tables.KMER_COLUMNS)
    assert names("dynamics/MODEL/dynamics.csv") == list(dynamics.DYNAMICS_COLUMNS)
    assert names("dynamics/MODEL/learnt.csv") == list(dynamics.LEARNT_COLUMNS)
    mask = np.array([[True, False]])
    measured = score_attributions(np.array([[1.0, 0.0]]), mask)
    assert names("scores/per_sequence.parquet") == [*tables.PER_SEQUENCE_KEYS, *measured]
    assert set(METRICS) < set(names("scores/per_sequence.parquet"))
    of_rules = faithfulness(np.zeros((1, 3, 2)), mask, ~mask, np.zeros((1, 4)), np.zeros((1, 4)))
    assert names("scores/faithfulness.csv") == [*tables.INTERACTION_KEYS, *of_rules]
    satisfied = satisfiability(np.zeros((1, 3, 2)), mask, ~mask, (1, 0, 0, 0))
    assert names("scores/satisfiability.csv") == [*tables.INTERACTION_KEYS, *satisfied]


def test_keys_and_arrays_of_the_page_are_those_of_the_code():
    assert names("config.yaml", "key") == [*Config.model_fields, "versions"]
    tops = dict.fromkeys(name.split(".")[0].removesuffix("[]") for name in names("dataset/dataset.json", "key"))
    of_kinds = ["elements", "unlabelled", "lost", "composition", "leakage", "files"]
    assert list(tops) == [*DESCRIPTION, *DEFAULT_SCAN, *of_kinds, CHECKSUMS, OWN_CHECKSUM]
    kept = get_args(get_args(AttributionSettings.model_fields["arrays"].annotation)[0])
    assert names("attributions/MODEL/TASK/KEY.h5", "array") == ["scores", *kept, *OF_PAIRS, "seq_id"]
    of_manifest = [name.removeprefix("PATH.") for name in names("manifest.json", "key")]
    assert set(Computation._fields) < set(of_manifest)


# README.md


def test_a_page_is_held_to_its_run_by_the_script_of_the_figures(tiny_run):
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "make_readme_figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    metrics = json.loads((tiny_run / "models" / "basset" / "metrics.json").read_text())
    reached = (metrics["HepG2"]["auroc"] + metrics["K562"]["auroc"]) / 2
    ceiling = pd.read_csv(tiny_run / "oracle" / "ceilings.csv")["auroc"].mean()
    table = figures.table(tiny_run)
    right = f"Basset (test auROC {reached:.2f}), where the exact ceiling is {ceiling:.2f}\n".replace(" 0.", " .")
    assert figures.problems(tiny_run, right + table) == []
    too_high = right.replace(f"is {ceiling:.2f}".replace("0.", "."), f"is {ceiling + 0.02:.2f}".replace("0.", "."))
    assert figures.problems(tiny_run, too_high + table) == [
        f"exact ceiling is: {ceiling:.3f}, the page says {ceiling + 0.02:.2f}".replace("says 0.", "says .")
    ]
    assert len(figures.problems(tiny_run, table.replace("`saliency", "`fancy").replace("`grad_x", "`fancy_x"))) >= 1


# docs/architecture.md


def architecture() -> str:
    return (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def test_layers_of_the_page_are_those_that_lint_holds():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    block = re.search(r"```text\n(.*?)```", section(architecture(), "Layers"), re.DOTALL)[1]
    layers = [" ".join(line.split()) for line in block.splitlines()]
    assert layers == next(each["layers"] for each in contracts if each["type"] == "layers")


def test_the_code_map_has_every_folder_and_file_of_the_package():
    listed = re.findall(r"^\| `(.+?)` \|", section(architecture(), "Code map"), re.MULTILINE)
    folders = [path.relative_to(PACKAGE).as_posix() + "/" for path in PACKAGE.iterdir() if path.is_dir()]
    nested = [path.parent.relative_to(PACKAGE).as_posix() + "/" for path in PACKAGE.glob("*/*/__init__.py")]
    files = [path.name for path in PACKAGE.glob("*.py")]
    wanted = {name for name in (*folders, *nested, *files) if name not in ("__pycache__/", "__init__.py")}
    assert sorted(listed) == sorted(wanted)


# links and names on all pages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_of_the_repository_lead_there(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    ours = [link.split("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in ours if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_rows_of_a_table_have_the_cells_of_its_head(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line) for line in block.splitlines()]
        assert [row for row in rows if len(row) != len(rows[0])] == []


@cache
def headings(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site name them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = (re.sub(r"\[(.+?)\]\(.+?\)", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    return {re.sub(r"[^\w -]", "", title.lower().strip()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_headings_lead_there(path):
    links = re.findall(r"\]\(([^)\s:]*)#([^)\s]+)\)", path.read_text(encoding="utf-8"))
    pages = [((path.parent / page).resolve() if page else path, anchor) for page, anchor in links]
    assert [anchor for page, anchor in pages if page.suffix == ".md" and anchor not in headings(page)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_the_text_exist(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.-])(?:simbench_tf|tests|docs|examples|benchmarks|tools)/[\w./-]*[\w/]", text)
    # in the pages on the code, also what is named from the package's folder
    if path.name in ("architecture.md", "CONTRIBUTING.md"):
        named += re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text)
    roots = (ROOT, PACKAGE, ROOT / "tests")
    named = [name for name in set(named) if not re.search(r"\b(FOLDER|FILE|NAME)\b", name)]
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_dotted_names_in_the_text_can_be_imported(path):
    dotted = set(re.findall(r"\bsimbench_tf(?:\.[A-Za-z_]\w*)+", path.read_text(encoding="utf-8")))
    for name in sorted(dotted - set(GROUPS.values())):  # names of entry-point groups, no modules
        assert found(name), f"{name} is not in the package"


def found(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return found(module) and hasattr(importlib.import_module(module), attribute)
    return True
