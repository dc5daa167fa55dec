"""Papers that a shared model rests on: of the simulation, and of its architecture."""

from __future__ import annotations

from typing import Any, NamedTuple


class Paper(NamedTuple):
    """A paper.

    Attributes
    ----------
    authors : tuple of (str, str)
        Family and given names.
    title, journal : str
    year : int
    url : str
        Of its DOI where it has one.
    """

    authors: tuple[tuple[str, str], ...]
    title: str
    journal: str
    year: int
    url: str

    @property
    def short(self) -> str:
        """As text names it.

        Examples
        --------
        >>> SIMULATION.short
        'Prakash et al. 2021'
        """
        return f"{self.authors[0][0]} et al. {self.year}"

    @property
    def doi(self) -> str | None:
        """Its DOI without the resolver."""
        return self.url.removeprefix("https://doi.org/") if self.url.startswith("https://doi.org/") else None

    def as_citation(self) -> dict[str, Any]:
        """The paper as a reference in CITATION.cff."""
        authors = [{"family-names": family, "given-names": given} for family, given in self.authors]
        place = {"doi": self.doi} if self.doi else {"url": self.url}
        return {
            "type": "article",
            "authors": authors,
            "title": self.title,
            "journal": self.journal,
            "year": self.year,
            **place,
        }


SIMULATION = Paper(
    (("Prakash", "Eva"), ("Shrikumar", "Avanti"), ("Kundaje", "Anshul")),
    "Towards More Realistic Simulated Datasets for Benchmarking Deep Learning Models in Regulatory Genomics",
    "Proceedings of Machine Learning Research 165:58-77",
    2021,
    "https://proceedings.mlr.press/v165/prakash22a.html",
)
#: What an architecture is called, and its paper.
ARCHITECTURES = {
    "basset": (
        "Basset",
        Paper(
            (("Kelley", "David R."), ("Snoek", "Jasper"), ("Rinn", "John L.")),
            "Basset: learning the regulatory code of the accessible genome with deep convolutional neural networks",
            "Genome Research 26:990-999",
            2016,
            "https://doi.org/10.1101/gr.200535.115",
        ),
    ),
    "beluga": (
        "DeepSEA Beluga",
        Paper(
            (
                ("Zhou", "Jian"),
                ("Theesfeld", "Chandra L."),
                ("Yao", "Kevin"),
                ("Chen", "Kathleen M."),
                ("Wong", "Aaron K."),
                ("Troyanskaya", "Olga G."),
            ),
            "Deep learning sequence-based ab initio prediction of variant effects on expression and disease risk",
            "Nature Genetics 50:1171-1179",
            2018,
            "https://doi.org/10.1038/s41588-018-0160-6",
        ),
    ),
}
