"""A peaks configuration turned into a grammar configuration that draws data like those peaks, ready to run."""

from __future__ import annotations

import itertools
import json
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from simbench_tf.config import Config, Element, Model, PeaksSimulation, check_config
from simbench_tf.config.yaml_text import format_yaml
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.motifs import Motif, find_motif, write_meme
from simbench_tf.parallel import Track, silent
from simbench_tf.simulate.fit.classes import suited_order
from simbench_tf.simulate.fit.fitter import NEGLIGIBLE_RATE, TOLERANCE, Fit, fit_grammar
from simbench_tf.simulate.fit.spacings import enriched_spacings
from simbench_tf.simulate.peaks.scanning import MapChunks, Scanned, scan_regions
from simbench_tf.tables import UNLABELLED

#: Regions that a grammar is fitted to at most, unless more are requested.
MAX_SEQUENCES = 20_000


#: What the composition of real DNA does not leave to motifs that look like it; a lower order leaves more.
BACKGROUND_ORDER = 3
_MAX_PASSES = 60


class Fitted(NamedTuple):
    """The file that was written, and one line about the fit."""

    path: Path
    summary: str


def write_fitted(
    config: Config,
    out: Path,
    *,
    max_sequences: int = MAX_SEQUENCES,
    background_order: int | None = BACKGROUND_ORDER,
    n_classes: int = 1,
    n_stretches: int = 1,
    refit_motifs: bool = False,
    n_pairs: int = 0,
    tolerance: float = TOLERANCE,
    n_sequences: int | None = None,
    splits: Sequence[str] | None = None,
    map_in_order: MapChunks = map,
    track: Track = silent,
) -> Fitted:
    """Fit a grammar to the regions of a peaks configuration and write the configuration of a run on such data.

    The regions are fitted as they are in the genome, with the motifs that the configuration's filter keeps. Models,
    training, attribution, scoring, splits and seed stay as they are; models of another input length are left out, with
    a warning.

    Parameters
    ----------
    config : Config
        Of kind peaks.
    out : path
        The file; its folder is made where it is missing. The same configuration gives the same bytes.
    max_sequences : int
        Regions to fit at most; more of them are a random part, drawn by the configuration's seed, in which each label
        pattern has as many as the others, as far as there are.
    background_order : int, optional
        How many bases before it a background base depends on, up to 5; None: as many as the regions suffice for.
    n_classes : int
        Classes of regions by composition, at most; each has a background, a factor on all rates, and odds ratios of
        the labels.
    n_stretches : int
        Kinds of stretches along the regions of each class, each with a background of its own; 1 for none.
    refit_motifs : bool
        Estimate the motifs' PPMs from the regions, too, and write them beside `out`, under its name and .meme.
    n_pairs : int
        Pairs of motifs at a gap, at most, that become elements: those whose hits are most enriched at it.
    tolerance : float
        As of `fit_grammar`.
    n_sequences : int, optional
        Sequences that the new configuration draws; by default as many as there are regions.
    splits : sequence of str, optional
        Splits whose regions are fitted; by default all.
    map_in_order : callable
        From `simbench_tf.parallel.workers`; scans run through it.
    track : callable, optional
        ``track(description, total)`` is a context manager that yields ``advance(n)``; the fit ends before its total.

    Raises
    ------
    InputError
        The configuration is of a grammar, a file is at fault, no motif passes, or `out` cannot be written.

    Notes
    -----
    Real regions differ in composition and sites come in clusters, as in CpG islands, and such are peaks more often than
    others: that is what classes are for.
    Composition changes along a region, too, as at the edge of an island or a repeat: that is what stretches are for.
    What the background does not account for, motifs that look like it do, the less so the higher `background_order` is.
    Within a class, sites know nothing of each other; what is left of that makes the ceiling of the drawn data higher
    than what can be reached on the peaks.
    """
    simulation = config.simulation
    if not isinstance(simulation, PeaksSimulation):
        what = "is a grammar already" if simulation.kind == "grammar" else "is text, which names no real peaks"
        raise InputError("simulation.kind", what, "give a configuration of kind peaks to fit one to")
    _check_place(out)
    with tempfile.TemporaryDirectory() as index_dir:
        scanned = _with_all_labels(scan_regions(simulation, config.seed, index_dir, map_in_order), config.tasks)
    if splits is not None:
        scanned = _some_regions(scanned, scanned.regions["split"].isin(splits).to_numpy(np.bool_))
    motifs = [motif for motif, kept in zip(scanned.motifs, scanned.kept, strict=True) if kept]
    if background_order is None:
        background_order = suited_order(scanned.bases.size, n_classes)
    pairs = (
        enriched_spacings(scanned.bases, motifs, simulation.scan_pvalue, scanned.background, n_pairs) if n_pairs else ()
    )
    total = _MAX_PASSES * min(max_sequences, len(scanned.bases))
    with track("fit", total) as advance:
        fit = fit_grammar(
            scanned.bases,
            scanned.regions[config.tasks].to_numpy(),
            motifs,
            config.tasks,
            background_order=background_order,
            n_classes=n_classes,
            n_stretches=n_stretches,
            pairs=pairs,
            refit_motifs=refit_motifs,
            tolerance=tolerance,
            seed=config.seed,
            max_sequences=max_sequences,
            max_passes=_MAX_PASSES,
            advance=advance,
        )
    _warn(fit, scanned, config.tasks)
    raw = _as_yaml(config, fit, scanned.motifs)
    if n_sequences is not None:
        raw["simulation"]["n_sequences"] = n_sequences
    if refit_motifs:
        raw["simulation"]["motifs"] = out.with_suffix(".meme").name
    check_config(raw, out)
    text = format_yaml(raw, default_flow_style=None, width=120)
    if refit_motifs:
        remark = f"PPMs of the motifs of {config.simulation.motifs}, estimated from the regions of {config.name}"
        write_meme(fit.motifs, out.with_suffix(".meme"), scanned.background.tolist(), [remark])
    with whole_file(out) as partial:
        partial.write_text(_head(config, fit, scanned) + text, encoding="utf-8")
    return Fitted(out, _summary(fit, len(motifs)))


def _with_all_labels(scanned: Scanned, tasks: Sequence[str]) -> Scanned:
    """Without regions that are neither positive nor negative of some task: a grammar has labels 0 and 1 alone."""
    known = (scanned.regions[list(tasks)] != UNLABELLED).all(axis=1).to_numpy()
    return _some_regions(scanned, known)


def _some_regions(scanned: Scanned, kept: npt.NDArray[np.bool_]) -> Scanned:
    return scanned._replace(regions=scanned.regions[kept].reset_index(drop=True), bases=scanned.bases[kept])


def _check_place(out: Path) -> None:
    """Refuse, before the fit, a file that could not be written after it."""
    if out.is_dir():
        raise InputError(out, "is a folder", "name a file in it, as grammar.yaml")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(out, f"{folder} is no folder", "choose another place")


def _as_yaml(config: Config, fit: Fit, motifs: Sequence[Motif]) -> dict[str, Any]:
    """The configuration in plain values, without the settings it leaves at their defaults."""
    rest = config.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    simulation = fit.simulation.model_dump(mode="json", exclude_none=True)
    fractions = config.simulation.splits
    backgrounds = [key for key in ("classes", "stretches") if simulation[key]] or ["background"]
    fitted = {
        **{key: simulation[key] for key in ("kind", "seq_length", "n_sequences")},
        "motifs": config.simulation.motifs,
        **{key: simulation[key] for key in ("tasks", "label_correlation")},
        "elements": [_element(element, motifs) for element in fit.simulation.elements],
        **{key: simulation[key] for key in backgrounds},
        "splits": {"valid": fractions.valid, "test": fractions.test},
    }
    first = {"name": f"{config.name}_fitted", "seed": config.seed, "simulation": fitted}
    if "models" in rest:
        fits = [_fits(model, fit.simulation.seq_length) for model in config.models]
        rest["models"] = list(itertools.compress(rest["models"], fits))
        if not rest["models"]:
            del rest["models"]  # the default is one Basset
    return first | {key: value for key, value in rest.items() if key not in first}


def _fits(model: Model, seq_length: int) -> bool:
    """Whether a model takes sequences of the grammar's length, as far as its file tells; warn where it does not."""
    length = _input_length(model)
    if length in (None, seq_length):
        return True
    warnings.warn(
        f"models.{model.name}: takes {length} bases, the grammar draws {seq_length}; it is left out",
        UserWarning,
        stacklevel=4,
    )
    return False


def _input_length(model: Model) -> int | None:
    """The input length of a Keras file or a Kipoi entry; None where any length does or the file does not tell."""
    try:
        if model.keras is not None:
            with zipfile.ZipFile(model.keras) as archive:
                shape = _first_shape(json.loads(archive.read("config.json")))
            if shape is None:
                return None
            has_channels_first = model.layout == "NCL" or (shape[1] == 4 and shape[2] != 4)
            return shape[2] if has_channels_first else shape[1]
        if model.kipoi is not None and (Path(model.kipoi) / "model.yaml").is_file():
            description = yaml.safe_load((Path(model.kipoi) / "model.yaml").read_text(encoding="utf-8"))
            return int(re.findall(r"\d+", str(description["schema"]["inputs"]["shape"]))[0])
    except (
        OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, KeyError, IndexError, TypeError,
        yaml.YAMLError,
    ):  # fmt: skip
        return None  # training says what is wrong with it
    return None


def _first_shape(config: Any) -> list[int | None] | None:
    """The shape (batch, length, channels) of the first input in a saved model's configuration."""
    if isinstance(config, dict) and len(config.get("batch_shape") or ()) == 3:
        return list(config["batch_shape"])
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((shape for part in parts if (shape := _first_shape(part)) is not None), None)


def _element(element: Element, motifs: Sequence[Motif]) -> dict[str, Any]:
    position = element.position.model_dump(exclude_none=True) if element.position.sd is not None else None
    if element.pair:
        first, second = (_factor(name, motifs) for name in element.pair)
        settings: dict[str, Any] = {
            "name": f"{first}+{second} {element.orientation} {element.gap[0]}",
            "pair": [first, second],
            "gap": element.gap[0],
            "orientation": element.orientation,
            "rate": element.rate,
        }
    else:
        settings = {"motif": _factor(str(element.motif), motifs), "rate": element.rate}
    return (
        settings
        | ({"enriched": element.enriched} if element.enriched else {})
        | ({"position": position} if position else {})
    )


def _factor(motif_id: str, motifs: Sequence[Motif]) -> str:
    """The motif's factor where no other motif of the source goes by it, else its id."""
    motif = find_motif(motifs, motif_id)
    try:
        return motif.tf if find_motif(motifs, motif.tf) is motif else motif.motif_id
    except InputError:
        return motif.motif_id


def _warn(fit: Fit, scanned: Scanned, tasks: Sequence[str]) -> None:
    unlabelled = (~scanned.regions[list(tasks)].to_numpy().any(axis=1)).mean()
    if unlabelled == 0:
        warnings.warn(
            f"every region is positive for some task, but {fit.unlabelled:.1%} of the sequences that the grammar draws "
            "will have no label; a background in the peaks' configuration gives it regions to learn them from",
            UserWarning,
            stacklevel=3,
        )
    if not fit.converged:
        warnings.warn(
            f"rates still move after {fit.n_passes} passes; fewer similar motifs would settle sooner",
            UserWarning,
            stacklevel=3,
        )


def _summary(fit: Fit, n_motifs: int) -> str:
    few = ", ".join(motif.tf for motif in fit.left_out)
    left_out = f"; left out, with fewer than {NEGLIGIBLE_RATE:g} starts a sequence: {few}" if few else ""
    n_pairs = len(fit.simulation.elements) - len(fit.motifs)
    pairs = f", {n_pairs} pairs of them" if n_pairs else ""
    classes = f", {len(fit.simulation.classes)} classes of sequences" if fit.simulation.classes else ""
    n_kinds = max(map(len, [fit.simulation.stretches, *(each.stretches for each in fit.simulation.classes)]))
    stretches = f", {n_kinds} kinds of stretches" if n_kinds else ""
    return (
        f"{len(fit.motifs)} of {n_motifs} motifs{pairs}{classes}{stretches}, fitted to {fit.n_fitted} regions in "
        f"{fit.n_passes} passes{left_out}"
    )


def _head(config: Config, fit: Fit, scanned: Scanned) -> str:
    """The comment at the head of the file: what was fitted, and how well each rate is known."""
    tasks = config.tasks
    labels = scanned.regions[tasks].to_numpy()
    positive = ", ".join(f"{100 * share:.1f}% {task}" for task, share in zip(tasks, labels.mean(axis=0), strict=True))
    lines = [
        f"A grammar fitted by `simbench fit` to the peaks of {config.name}, to draw any number of sequences like them.",
        "",
        f"From {fit.n_fitted} of {len(labels)} regions of {scanned.bases.shape[1]} bases ({positive}).",
        "Standard errors of rate and enriched, in the order of the elements:",
    ]
    for element, errors in zip(fit.simulation.elements, fit.rate_errors.T, strict=True):
        named = zip(["rate", *tasks], errors.tolist(), strict=True)
        known = ", ".join(f"{name} {error:.1g}" for name, error in named if error > 0)
        lines.append(
            f"  {_element(element, scanned.motifs).get('name') or _factor(element.name, scanned.motifs)}: {known}"
        )
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
