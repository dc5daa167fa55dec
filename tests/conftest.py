"""What several test files use: a small run's configuration, and the run itself, made once a session."""

from pathlib import Path

import pytest
import yaml

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

TINY_RUN = {
    "name": "tiny",
    "seed": 7,
    "simulation": {
        "kind": "grammar",
        "seq_length": 200,
        "n_sequences": 900,
        "tasks": {"HepG2": {"fraction": 0.4}, "K562": {"fraction": 0.3}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.1, "enriched": {"HepG2": 1.5}},
            {"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 1.5}},
            {"motif": "CTCF", "rate": 0.3},
        ],
    },
    "models": [{"name": "basset", "architecture": "basset", "width": 0.03}],
    "training": {"batch_size": 50, "max_batches": 24},
    "attribution": {
        "n_sequences": 8,
        "methods": [
            {"method": "grad_x_input"},
            {"method": "integrated_gradients", "references": "shuffle:2", "n_steps": 3},
        ],
    },
}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real human sequence and regions, where they are."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the stretch of human chromosome 2 and its regions, in shared/data beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY_RUN))
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory) -> Path:
    """A whole small run; tests that change it work on a copy."""
    from simbench_tf import pipeline
    from simbench_tf.config import load_config

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    pipeline.run(load_config(tiny_config), folder)
    return folder
