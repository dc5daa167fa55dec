"""The IGV session: every track that it names is there, over the genome of the run."""

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from helpers.folders import checksums
from helpers.peaks_run import TASKS
from helpers.program import simbench
from simbench_tf.dataset import open_dataset
from simbench_tf.interchange import export_attributions
from simbench_tf.interchange.igv_session import Track, genome_id, write_session
from simbench_tf.run.attributions import attribution_files, read_attributions


@pytest.fixture
def session(peaks_run, tmp_path):
    config, run, _ = peaks_run
    written = export_attributions(config, run, tmp_path / "out", "igv")
    assert written[-1] == tmp_path / "out" / "igv_session.xml"
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == set(written)
    return ElementTree.parse(written[-1]).getroot()


def test_every_track_is_a_file_with_a_name(peaks_run, tmp_path, session):
    config, run, _ = peaks_run
    assert (session.tag, session.get("version")) == ("Session", "8")
    assert session.get("genome") == str(tmp_path / "g.fa")
    resources = {each.get("path"): each for each in session.findall("Resources/Resource")}
    tracks = session.findall("Panel[@name='DataPanel']/Track")
    assert [each.get("id") for each in tracks] == list(resources)  # IGV joins them by this
    assert all((tmp_path / "out" / path).is_file() for path in resources)
    assert {path: each.get("type") for path, each in resources.items()} == {
        path: Path(path).suffix[1:] for path in resources
    }
    names = {each.get("id"): each.get("name") for each in tracks}
    assert [name.split("/")[0] for name in names] == [task for task in TASKS for _ in range(6)]
    files = attribution_files(config, run)
    for file in files:
        assert names[f"{file.task}/{file.model}/{file.key}.bw"] == f"{file.task}: {file.key} ({file.model})"
    for task in TASKS:
        assert names[f"{task}/regions.bed"] == f"{task}: explained regions"
        assert names[f"{task}/sites.bed"] == f"{task}: true sites"
    assert len(names) == len(files) + 2 * len(TASKS)


def test_tracks_are_those_of_the_bigwig_format(peaks_run, tmp_path, session):
    config, run, _ = peaks_run
    export_attributions(config, run, tmp_path / "plain", "bigwig")
    plain = checksums(tmp_path / "plain")
    assert plain.items() <= checksums(tmp_path / "out").items()


def test_it_begins_at_the_first_explained_region(peaks_run, session):
    config, run, _ = peaks_run
    first = read_attributions(attribution_files(config, run)[0].path)[1][0]
    chrom, place = first.split(":")
    start, end = map(int, place.split("-"))
    assert session.get("locus") == f"{chrom}:{start + 1}-{end}"


def test_sites_are_the_truth_of_the_explained_regions(peaks_run, tmp_path, session):
    config, run, _ = peaks_run
    dataset = open_dataset(run / "dataset")
    for task in TASKS:
        file = next(each for each in attribution_files(config, run) if each.task == task)
        ids = read_attributions(file.path)[1]
        regions = pd.read_csv(tmp_path / "out" / task / "regions.bed", sep="\t", header=None)
        assert sorted(regions[3]) == sorted(ids)
        own = dataset.sites[dataset.sites["seq_id"].isin(ids)]
        starts = own["seq_id"].str.extract(r":(\d+)-")[0].astype(int)
        expected = sorted(zip(starts + own["start"], starts + own["end"], own["motif"], own["strand"], strict=True))
        found = pd.read_csv(tmp_path / "out" / task / "sites.bed", sep="\t", header=None)
        assert sorted(found[[1, 2, 3, 5]].itertuples(index=False, name=None)) == expected
        assert len(expected) > 2


def test_names_are_written_as_xml_wants_them(tmp_path):
    write_session(tmp_path / "a.xml", "hg38", "chr1:1-2", [Track(tmp_path / "a&b.bw", 'A<B & "C"')])
    found = ElementTree.parse(tmp_path / "a.xml").find("Panel/Track")
    assert (found.get("id"), found.get("name")) == ("a&b.bw", 'A<B & "C"')


@pytest.mark.parametrize("name", ["hg38.fa", "hg38.fa.gz", "hg19.fasta"])
def test_genomes_that_igv_hosts_go_by_name(name):
    assert genome_id(Path("/data", name)) == name[:4]


def test_data_without_a_genome_are_refused(monkeypatch, capsys, tiny_run, tmp_path):
    options = ["--out", tmp_path / "a", "--format", "igv"]
    code, _, err = simbench(monkeypatch, capsys, "export-attributions", tiny_run, *options)
    assert code == 2
    assert "holds sequences that have no place in a genome" in err
    assert not (tmp_path / "a").exists()
