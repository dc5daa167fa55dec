"""Stages by shards on a Dask cluster of two workers, one of which is killed in each stage: the same bytes."""

import functools
import logging
import shutil

import numpy as np
import pytest
import yaml
from distributed import LocalCluster

from helpers.dying import die_once
from helpers.folders import checksums
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.motifs import Motif, write_meme
from simbench_tf.parallel import workers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, silence_logs=logging.CRITICAL, scheduler_kwargs={"dashboard": False}
    ) as cluster:
        yield cluster


def peaks_config(folder):
    """Peaks with two motifs on a drawn contig; several chunks of regions are scanned."""
    letters = np.random.default_rng(0).choice(list("ACGT"), 60_000)
    for start in range(150, 60_000, 600):
        letters[start : start + 10] = list("TGACTCATGC")
    (folder / "genome.fa").write_text(f">chr1\n{''.join(letters)}\n")
    for name, first in (("peaks.bed", 100), ("background.bed", 400)):
        (folder / name).write_text("".join(f"chr1\t{at}\t{at + 100}\n" for at in range(first, 60_000, 600)))
    peaks = {"kind": "peaks", "genome": "genome.fa", "peaks": {"K562": "peaks.bed"}, "background": "background.bed"}
    peaks |= {"region_size": 100, "motifs": "motifs.meme", "scan_pvalue": 1e-4, "min_pos_hits": 10}
    ppm = np.full((10, 4), 0.01)
    ppm[np.arange(10), [3, 2, 0, 1, 3, 1, 0, 3, 2, 1]] = 0.97
    write_meme([Motif("M1", "AP-1", ppm, 100.0)], folder / "motifs.meme")
    (folder / "peaks.yaml").write_text(yaml.safe_dump({"name": "peaks", "simulation": peaks}))
    return load_config(folder / "peaks.yaml")


@pytest.mark.parametrize("stage", ["scan", "simulate", "attribute", "oracle", "score"])
def test_a_worker_killed_in_a_stage_changes_no_byte(cluster, tiny_run, tiny_config, tmp_path, stage):
    config, run = load_config(tiny_config), tmp_path / "run"
    if stage == "scan":
        config, tiny_run = peaks_config(tmp_path), tmp_path / "alone"
        pipeline.simulate(config, tiny_run)
    else:
        shutil.copytree(tiny_run, run)
    folders = {"scan": ["dataset"], "simulate": ["dataset"], "attribute": ["attributions", "nulls", "references"]}
    made = folders.get(stage, ["oracle" if stage == "oracle" else "scores"])
    for name in made:
        shutil.rmtree(run / name, ignore_errors=True)
    step = getattr(pipeline, "simulate" if stage == "scan" else stage)
    with workers(address=cluster.scheduler_address) as map_in_order:

        def map_and_die(function, items):
            return map_in_order(functools.partial(die_once, str(tmp_path / "died"), function), items)

        step(config, run, map_in_order=map_and_die)
    assert (tmp_path / "died").exists()
    for name in made:
        mine, theirs = (checksums(each / name) for each in (run, tiny_run))
        mine.pop("summary.csv", None), theirs.pop("summary.csv", None)  # it holds seconds
        assert mine == theirs
