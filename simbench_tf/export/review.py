"""Review of a Kipoi entry before a pull request: what a maintainer of the zoo would object to, field by field.

The rules are those of Kipoi's contributing guide (model.yaml, dataloader.yaml), and what `kipoi test` warns of, since a
warning fails the zoo's tests. Nothing of the entry is executed.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from simbench_tf.errors import InputError
from simbench_tf.export.people import is_named
from simbench_tf.run.verify import problems

Described = Mapping[str, Any]


class Objection(NamedTuple):
    """What a maintainer would say of an entry.

    Attributes
    ----------
    must : bool
        Whether the zoo takes no entry with it; else it is asked for.
    text : str
        File and field, what is wrong, how to mend it.
    """

    must: bool
    text: str


_MODEL_FIELDS = ("defined_as", "args", "default_dataloader", "info", "dependencies", "schema")
_LOADER_FIELDS = ("defined_as", "args", "info", "dependencies", "output_schema")
_AGAIN = "export it again"
_UPLOAD = "upload it to Zenodo or figshare and export with --url"
#: Modules that a package brings under another name.
_MODULES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "Bio": "biopython", "pkg_resources": "setuptools"}
_UNSAID = ("", "not stated")


def objections(entry: Path) -> list[Objection]:
    """What a maintainer of the zoo would object to in an entry or a group; what must be mended comes first.

    Parameters
    ----------
    entry : path
        A folder with model.yaml, or of a group with model-template.yaml and models.tsv.

    Returns
    -------
    list of Objection

    Raises
    ------
    InputError
        The folder is no Kipoi entry, or its descriptions cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "model.yaml").write_text("defined_as: kipoi.model.KerasModel")
    >>> objections(folder)[0].text.removeprefix(str(folder))
    "/model.yaml: has no 'args'; export it again"
    """
    found = [each for file, described in _models(entry) for each in _of_model(entry, file, described)]
    if (entry / "dataloader.yaml").is_file():
        loader = entry / "dataloader.yaml"
        found += _of_loader(entry, loader, _mapping(loader, loader.read_text(encoding="utf-8")))
    if (entry / "model.yaml").is_file():
        found += [Objection(True, line) for line in problems(entry)]
    return sorted(dict.fromkeys(found), key=lambda each: not each.must)


def _models(entry: Path) -> Iterator[tuple[str, Described]]:
    """The description of each model: of the entry, or of the group's members."""
    if (entry / "model.yaml").is_file():
        path = entry / "model.yaml"
        yield str(path), _mapping(path, path.read_text(encoding="utf-8"))
        return
    path, table = entry / "model-template.yaml", entry / "models.tsv"
    if not path.is_file() or not table.is_file():
        raise InputError(entry, "is no Kipoi entry: it has no model.yaml, nor models.tsv", "give an entry's folder")
    from jinja2 import Template

    rows = pd.read_csv(io.StringIO(table.read_text(encoding="utf-8")), sep="\t", comment="#", dtype=str)
    for row in rows.fillna("").to_dict("records"):
        named = {str(key): value for key, value in row.items()}
        yield (
            f"{path} ({named.get('model')})",
            _mapping(path, Template(path.read_text(encoding="utf-8")).render(**named)),
        )


def _mapping(path: Path, text: str) -> Described:
    try:
        described = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(path, f"is no YAML: {' '.join(str(error).split())}", _AGAIN) from error
    if not isinstance(described, dict):
        raise InputError(path, "describes nothing", _AGAIN)
    return described


def _of_model(entry: Path, file: str, described: Described) -> Iterator[Objection]:
    yield from _missing(file, described, _MODEL_FIELDS)
    info = _part(described, "info")
    yield from _people(file, info)
    yield from _info(file, info)
    yield from _weights(file, _part(described, "args"))
    expected = _part(described, "test").get("expect")
    if not _is_remote(expected):  # the zoo takes an entry that has none
        text = f"{file}: test.expect is no url with md5, so that nothing is compared; {_UPLOAD}"
        yield Objection(expected is not None, text)
    yield from _schema(file, _part(described, "schema"))
    yield from _dependencies(file, _part(described, "dependencies"))
    yield from _code(entry, file, described, "kipoi.model.")


def _of_loader(entry: Path, path: Path, described: Described) -> Iterator[Objection]:
    file = str(path)
    yield from _missing(file, described, _LOADER_FIELDS)
    info = _part(described, "info")
    if str(info.get("doc", "")).strip() in _UNSAID:
        yield Objection(True, f"{file}: info.doc is empty, of which kipoi warns; say what is loaded")
    for name, argument in _part(described, "args").items():
        told = argument if isinstance(argument, dict) else {}
        if not str(told.get("doc", "")).strip():
            yield Objection(True, f"{file}: args.{name} has no doc; say what it takes")
        if told.get("optional"):
            continue
        example = told.get("example")
        if example is None:
            yield Objection(True, f"{file}: args.{name} has no example, so that kipoi test has none; {_AGAIN}")
        elif isinstance(example, str) and "/" in example:
            yield Objection(True, f"{file}: args.{name}.example is a file of the entry, {example}; {_UPLOAD}")
        elif isinstance(example, dict) and not _is_remote(example):
            yield Objection(True, f"{file}: args.{name}.example is no url with md5; {_UPLOAD}")
    yield from _dependencies(file, _part(described, "dependencies"), keras=False)
    yield from _code(entry, file, described, "kipoiseq.")


def _missing(file: str, described: Described, fields: tuple[str, ...]) -> Iterator[Objection]:
    for name in fields:
        if not described.get(name):
            yield Objection(True, f"{file}: has no {name!r}; {_AGAIN}")


def _part(described: Described, name: str) -> Described:
    part = described.get(name)
    return part if isinstance(part, dict) else {}


def _people(file: str, info: Described) -> Iterator[Objection]:
    authors, contributors = (
        [each for each in info.get(name) or () if isinstance(each, dict) and each.get("name")]
        for name in ("authors", "contributors")
    )
    if not authors or not is_named(authors):
        yield Objection(True, f"{file}: info.authors names nobody; export with --author 'NAME @GITHUB'")
    for kind, people in (("authors", authors), ("contributors", contributors)):
        for each in people if is_named(people) else ():
            if not each.get("github"):
                mend = f"--{kind[:-1]} '{each['name']} @GITHUB'"
                yield Objection(False, f"{file}: info.{kind}: {each['name']} has no GitHub name; export with {mend}")
    if not contributors:
        who = "nobody who answers for the entry"
        yield Objection(False, f"{file}: info.contributors has {who}; export with --contributor 'NAME @GITHUB'")


def _info(file: str, info: Described) -> Iterator[Objection]:
    if str(info.get("doc", "")).strip() in _UNSAID:
        yield Objection(True, f"{file}: info.doc is empty, of which kipoi warns; say what the model predicts")
    if not info.get("license"):
        yield Objection(False, f"{file}: info.license is missing, so that it is taken for MIT; say it by --license")
    if not re.search(r"\bdoi\.org/10\.\d{4,9}/", str(info.get("cite_as", ""))):
        yield Objection(False, f"{file}: info.cite_as holds no DOI; export with --doi 10.5281/zenodo.NUMBER")
    for name, what in (("trained_on", "the data"), ("training_procedure", "how it was trained")):
        if str(info.get(name, "")).strip() in _UNSAID:
            yield Objection(False, f"{file}: info.{name} is missing; tell {what}, with all options")
    for name, option in (("version", "--version"), ("tags", "EntryInfo(tags=...)")):
        if not info.get(name):
            yield Objection(False, f"{file}: info.{name} is missing; give it by {option}")


def _weights(file: str, args: Described) -> Iterator[Objection]:
    for name, value in args.items():
        given = value.get("default", value) if isinstance(value, dict) else value
        if isinstance(given, str) and "/" in given and "://" not in given:
            yield Objection(True, f"{file}: args.{name} is a file of the entry, {given}; {_UPLOAD}")
        elif isinstance(given, dict) and "url" in given and not _is_remote(given):
            yield Objection(True, f"{file}: args.{name} has a url without md5, of which kipoi warns; {_AGAIN}")


def _is_remote(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "://" in str(value.get("url"))
        and bool(re.fullmatch(r"(md5:)?[0-9a-f]{32}", str(value.get("md5"))))
    )


def _schema(file: str, schema: Described) -> Iterator[Objection]:
    inputs, targets = (_arrays(schema.get(name)) for name in ("inputs", "targets"))
    for name, parts in (("inputs", inputs), ("targets", targets)):
        if not parts or not all(re.fullmatch(r"\(.*\)", str(part.get("shape", ""))) for part in parts):
            yield Objection(True, f"{file}: schema.{name} has no shape; write it as (400, 4)")
        if not all(str(part.get("doc", "")).strip() for part in parts):
            yield Objection(False, f"{file}: schema.{name} has no doc; say what it holds")
    if inputs and not any(part.get("special_type") in ("DNASeq", "DNAStringSeq") for part in inputs):
        what = "schema.inputs.special_type is not DNASeq, so that no variants are scored"
        yield Objection(False, f"{file}: {what}; add it")
    for part in targets:
        labels, shape = part.get("column_labels"), re.fullmatch(r"\((\d+),?\s*\)", str(part.get("shape", "")))
        is_file = isinstance(labels, list) and len(labels) == 1 and str(labels[0]).endswith(".txt")
        if not labels:
            yield Objection(False, f"{file}: schema.targets.column_labels is missing; name the outputs")
        elif shape and isinstance(labels, list) and not is_file and len(labels) != int(shape[1]):
            what = f"has {len(labels)} column_labels for {shape[1]} outputs"
            yield Objection(True, f"{file}: schema.targets {what}; name each output once")


def _arrays(part: Any) -> list[Described]:
    """Descriptions of arrays, of which a schema has one, a list, or several by name."""
    if isinstance(part, dict) and "shape" not in part and any(isinstance(each, dict) for each in part.values()):
        part = list(part.values())
    return [each for each in (part if isinstance(part, list) else [part]) if isinstance(each, dict)]


def _dependencies(file: str, dependencies: Described, keras: bool = True) -> Iterator[Objection]:
    conda, pip = ([str(each) for each in dependencies.get(name) or ()] for name in ("conda", "pip"))
    if pip and not any(re.split(r"[=<>]", each)[0] == "pip" for each in conda):
        yield Objection(True, f"{file}: dependencies.conda lacks pip, which installs the others; add it")
    if not any(each.startswith("python=") for each in conda):
        yield Objection(False, f"{file}: dependencies.conda names no version of python; add python=3.11")
    if keras and not any(each.startswith(("keras", "tensorflow", "pytorch", "torch")) for each in (*conda, *pip)):
        yield Objection(True, f"{file}: dependencies name no keras, of which kipoi warns; add it")
    for each in pip:
        if not re.search(r"==[\w.]+$", each):
            yield Objection(
                False, f"{file}: dependencies.pip: {each} is no exact version; write {each.split('<')[0]}==VERSION"
            )


def _code(entry: Path, file: str, described: Described, of_kipoi: str) -> Iterator[Objection]:
    """An entry's own class: why there is one, and whether what it imports is among the dependencies."""
    defined_as = str(described.get("defined_as") or "")
    if not defined_as or defined_as.startswith(of_kipoi):
        return
    module = defined_as.partition("::")[0] if "::" in defined_as else defined_as.rpartition(".")[0] + ".py"
    path = entry / module
    if not path.is_file():
        yield Objection(True, f"{path}: is missing, {file} names it; {_AGAIN}")
        return
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        yield Objection(True, f"{path}: is no Python: {error}; {_AGAIN}")
        return
    if "own class" not in (ast.get_docstring(tree) or ""):
        what = f"is an own class beside {of_kipoi}*, and its docstring does not say why"
        yield Objection(False, f"{path}: {what}; begin a sentence with 'An own class'")
    listed = [str(each) for kind in ("conda", "pip") for each in _part(described, "dependencies").get(kind) or ()]
    known = {re.split(r"[=<>!~\[]", each.rpartition("::")[2])[0].lower().replace("_", "-") for each in listed}
    for name in sorted(_imported(tree) - sys.stdlib_module_names):
        package = _MODULES.get(name, name).lower().replace("_", "-")
        if package not in known and not (entry / f"{name}.py").is_file():
            yield Objection(True, f"{path}: imports {name}, which is not among the dependencies; add it")


def _imported(tree: ast.Module) -> set[str]:
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    whole = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | whole}
