"""What every simulator returns: finished sequences and the sites in them, as tables of a data set."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Drawn(NamedTuple):
    """Finished sequences (tables.sequence_schema) and the sites in them (tables.SITES_SCHEMA)."""

    sequences: pa.Table
    sites: pa.Table
