"""Hypothesis' strategy of small tables of calls and sites."""

import pandas as pd
from hypothesis import strategies as st

PLACES = st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 8))
STRANDS, NAMES = st.sampled_from("+-"), st.sampled_from(["GATA1", "SPI1"])


@st.composite
def tables(draw, most=5):
    """Few calls and sites, close together, so that they compete."""
    both = []
    for _ in range(2):
        rows = draw(st.lists(st.tuples(PLACES, STRANDS, NAMES, st.integers(0, 3)), min_size=1, max_size=most))
        places = [(row, start, start + width) for (row, start, width), *_ in rows]
        table = pd.DataFrame(places, columns=["row", "start", "end"])
        both.append(table.assign(strand=[r[1] for r in rows], motif=[r[2] for r in rows], score=[r[3] for r in rows]))
    return both
