"""Result files of a run, read back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_ceilings(folder: Path) -> pd.DataFrame:
    """RUN/oracle/ceilings.csv by task; without rows where there is none.

    Columns auroc and auprc are those of P(label | sequence) on the test split; attribution_auroc and attribution_auprc
    are means over the explained sequences of a task, and pooled_attribution_* pool their bases.
    """
    path = folder / "oracle" / "ceilings.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["auroc", "auprc", "attribution_auroc", "attribution_auprc"])
    return pd.read_csv(path).set_index("task")
