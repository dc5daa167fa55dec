"""Make the default compendium from JASPAR 2022 (needs pyjaspar): ``python make_default_motifs.py [FILE]``.

The same release always gives the same bytes. How the motifs are chosen, and why:

- JASPAR 2022, CORE collection. Later releases trim the flanks (CTCF from 19 to 15 bp), and the shorter a motif is, the
  fewer of its words can reach p < 1e-4.
- Taxon vertebrates, not species human: the latest matrices of NRF1, SPI1, IRF1, YY1 and POU5F1::SOX2 come from mouse.
  The factors bind alike in both, so the names are given in their human, upper-case form.
- The factors are a hand-picked list of well-studied human ones, drivers of accessibility first. All 841 of JASPAR are
  many near copies of few motifs (40 homeodomain TAATTAs), which slow a scan and make its hits ambiguous.
- Width 8 or more: below 7 bp no word reaches p < 1e-4 on uniform bases, and at 7 bp only the single best one.
- One matrix a factor, the one with the lowest id. JASPAR gives ids in the order of entry, so the lowest is the factor's
  established binding mode and later ones are variants (CTCF's of 34 and 35 bp, a half site, another spacing).
"""

from __future__ import annotations

import sys
from pathlib import Path

from simbench_tf.motifs import Motif, load_motifs, write_meme

MIN_WIDTH = 8
#: The compendium that it makes.
TARGET = Path(__file__).parents[1] / "simbench_tf" / "data" / "jaspar2022_default.meme"

REMARKS = (
    "Motifs of JASPAR 2022 (CORE, vertebrates), https://jaspar.genereg.net, CC BY 4.0.",
    "Castro-Mondragon et al., Nucleic Acids Research 50, D165-D173 (2022), doi:10.1093/nar/gkab1113.",
    "Chosen and turned from counts into probabilities by make_default_motifs.py, which tells the rules.",
)

# in groups: general; GC boxes; ETS, E2F; bZIP, E boxes; AP-1; others widely used; blood; B cells; stem cells; liver;
# erythroid and lineage factors
FACTORS = """
CTCF REST ZNF143 THAP11 ZBTB33 YY1 NRF1 NFYA NFYB TBP ZFX MAZ
SP1 SP3 KLF1 KLF4 KLF5 KLF9 EGR1 ZBTB7A
ELK1 ELK4 ETS1 ELF1 GABPA FLI1 ERG E2F1 E2F4
CREB1 ATF3 ATF4 XBP1 HLF USF1 USF2 MAX MYC MITF SREBF1 ARNT::HIF1A HES1
FOS FOS::JUN FOSL1 FOSL2 JUN JUNB JUND BACH1 BACH2 NFE2 NFE2L2 MAFK
CEBPA CEBPB CEBPD TEAD1 TEAD3 TEAD4 TFAP2A TFAP2C GRHL2 NFIA NFIC TP53 SRF MEF2A MEF2C RFX1 RFX5 HSF1
SPI1 SPIB IRF1 IRF2 IRF3 IRF4 IRF8 STAT1 STAT1::STAT2 STAT3 STAT5A RUNX1 RUNX2 RUNX3 NFKB1 RELA REL
EBF1 PAX5 BATF BATF::JUN POU2F1 POU2F2 IKZF1 BCL6 PRDM1 NFATC2
POU5F1 POU5F1::SOX2 SOX2 SOX9 ZIC2 ZIC3 OTX2 TFCP2L1 ESRRB NR5A2 LEF1 TCF7L2 TGIF1 SMAD3 EOMES
HNF4A HNF4G HNF1A HNF1B FOXA1 FOXA2 FOXA3 FOXO3 ONECUT1 CUX1 RXRA RARA PPARA::RXRA NR2F2 NR3C1 ESR1 AR
GATA1 GATA2 GATA3 GATA4 GATA1::TAL1 TAL1::TCF3 GFI1B MYB TCF3 ZEB1 SNAI2 MYOD1 ASCL1 NEUROD1 MEIS1 CDX2
"""


def choose_motifs(motifs: list[Motif]) -> list[Motif]:
    """The motif of each of FACTORS, by the rules above, named by the factor and sorted by it.

    Raises
    ------
    ValueError
        A factor is listed twice or has no motif that is wide enough.
    """
    chosen: dict[str, Motif] = {}
    for motif in sorted(motifs, key=lambda motif: motif.motif_id):
        tf = motif.tf.upper()
        if len(motif.ppm) >= MIN_WIDTH:
            chosen.setdefault(tf, motif._replace(tf=tf))
    factors = FACTORS.split()
    missing = sorted(set(factors) - set(chosen))
    if missing or len(set(factors)) < len(factors):
        raise ValueError(f"no motif for {missing}, or a factor listed twice")
    return [chosen[tf] for tf in sorted(factors)]


def main(path: Path) -> None:
    """Write the compendium to `path`."""
    motifs = choose_motifs(load_motifs("jaspar:2022"))
    write_meme(motifs, path, remarks=REMARKS)
    print(f"{len(motifs)} motifs in {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
