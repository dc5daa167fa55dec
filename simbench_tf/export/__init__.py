"""Trained models as entries of a Kipoi model zoo."""

from simbench_tf.export.entry import (
    EntryInfo,
    Exported,
    Variant,
    export_kipoi,
    export_kipoi_group,
    export_run,
    export_run_group,
)
from simbench_tf.export.publishing import Upload, publish

__all__ = [
    "EntryInfo",
    "Exported",
    "Upload",
    "Variant",
    "export_kipoi",
    "export_kipoi_group",
    "export_run",
    "export_run_group",
    "publish",
]
