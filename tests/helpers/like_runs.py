"""What differs between two runs of one configuration: files, numbers beyond float tolerance, all else exactly."""

import io
import json
import zipfile

import h5py
import numpy as np
import pandas as pd

from helpers.folders import files_below

#: Files that hold times, or what is drawn from all of the others.
_TIMED = ("manifest.json", "report.html", ".simbench.lock")


def differences(run, expected, rtol=1e-4, atol=1e-5):
    """A line for each file that one of two folders lacks, or that is not alike.

    Tables, arrays and weights are compared within the tolerances, which are those of training that was taken up again;
    of models and weights everything but the numbers is left out; other files are equal byte for byte.
    """
    mine, theirs = files_below(run), files_below(expected)
    lines = [f"{name}: only in one" for name in sorted(set(mine) ^ set(theirs)) if name not in _TIMED]
    for name in sorted(set(mine) & set(theirs)):
        if name not in _TIMED and mine[name].read_bytes() != theirs[name].read_bytes():
            first, second = (_content(path) for path in (mine[name], theirs[name]))
            if not _alike(first, second, rtol, atol):
                lines.append(f"{name}: differs")
    return lines


def _content(path):
    """Names of columns, keys or arrays -> what they hold."""
    if path.suffix in (".csv", ".tsv", ".parquet"):
        table = _read_table(path)
        return {name: table[name].to_numpy() for name in table if name != "seconds_per_sequence"}
    if path.suffix == ".json":
        return {"json": pd.json_normalize(json.loads(path.read_text())).iloc[0].to_dict()}
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:
            return _arrays(io.BytesIO(file.read("model.weights.h5")))
    return _arrays(path) if path.suffix == ".h5" else {"bytes": path.read_bytes()}


def _read_table(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=False, na_values=[""])


def _arrays(file):
    found = {}
    with h5py.File(file) as h5:
        h5.visititems(lambda name, each: found.update({name: each[()]}) if isinstance(each, h5py.Dataset) else None)
    return found


def _alike(first, second, rtol, atol):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_alike(first[key], second[key], rtol, atol) for key in first)
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        return False
    if all(np.issubdtype(each.dtype, np.number) for each in (first, second)):
        return np.allclose(first, second, rtol=rtol, atol=atol, equal_nan=True)
    return bool((pd.Series(first.ravel()).fillna("") == pd.Series(second.ravel()).fillna("")).all())
