"""A run on peaks, for what goes out to other tools and what comes back."""

import pytest

from helpers.peaks_run import make_peaks_run


@pytest.fixture
def peaks_run(tmp_path):
    """Configuration, folder and data set of a run on 60 regions of two chromosomes."""
    return make_peaks_run(tmp_path)
