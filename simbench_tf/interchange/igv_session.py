"""IGV session (XML): the tracks of a run's attributions over a genome, opened by IGV and igv.js with one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from simbench_tf.files import whole_file

#: Genomes that IGV loads by their name.
HOSTED = ("hg38", "hg19", "hs1", "mm39", "mm10", "mm9", "rn7", "danRer11", "dm6", "ce11", "sacCer3")
#: The version of the format, which is IGV's since 2.3.
_VERSION = "8"
_LOOKS = {
    ".bw": {
        "clazz": "org.broad.igv.track.DataSourceTrack",
        "autoScale": "true",
        "color": "0,114,178",
        "altColor": "213,94,0",
        "height": "60",
        "renderer": "BAR_CHART",
        "windowFunction": "mean",
    },
    ".bed": {"clazz": "org.broad.igv.track.FeatureTrack", "color": "90,90,90", "displayMode": "EXPANDED"},
}


class Track(NamedTuple):
    """A file that a session opens: .bw or .bed, and what the track is called."""

    path: Path
    name: str


def genome_id(genome: Path) -> str:
    """What IGV calls a genome: its name where IGV hosts it, else the path of the FASTA file.

    Examples
    --------
    >>> genome_id(Path("/data/hg38.fa.gz"))
    'hg38'
    >>> genome_id(Path("/data/mine.fa"))
    '/data/mine.fa'
    """
    name = genome.name.partition(".")[0]
    return name if name in HOSTED else str(genome.absolute())


def write_session(path: Path, genome: str, locus: str, tracks: Sequence[Track]) -> None:
    """Write a session file.

    Parameters
    ----------
    path : Path
        Usually igv_session.xml; written whole or not at all.
    genome : str
        As of `genome_id`.
    locus : str
        What is shown at first, chrom:start-end, counted from 1 and both ends included, as browsers do.
    tracks : sequence of Track
        From top to bottom. Paths are written relative to the session's folder, so that it can be moved.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_session(folder / "a.xml", "hg38", "chr1:1-9", [Track(folder / "K562" / "ism.bw", "K562: ism")])
    >>> ElementTree.parse(folder / "a.xml").find("Resources/Resource").attrib
    {'path': 'K562/ism.bw', 'name': 'K562: ism', 'type': 'bw'}
    """
    session = ElementTree.Element("Session", genome=genome, locus=locus, version=_VERSION, hasSequenceTrack="true")
    resources = ElementTree.SubElement(session, "Resources")
    panel = ElementTree.SubElement(session, "Panel", name="DataPanel")
    for track in tracks:
        place, suffix = track.path.relative_to(path.parent).as_posix(), track.path.suffix
        ElementTree.SubElement(resources, "Resource", path=place, name=track.name, type=suffix.removeprefix("."))
        ElementTree.SubElement(panel, "Track", _LOOKS[suffix], id=place, name=track.name, visible="true")
    ElementTree.indent(session)
    with whole_file(path) as partial:
        ElementTree.ElementTree(session).write(partial, encoding="UTF-8", xml_declaration=True)
