"""The configuration of a small run."""

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
    # in float32, so that it is the same on every processor
    "training": {"batch_size": 50, "max_batches": 24, "precision": "float32"},
    "attribution": {
        "n_sequences": 8,
        "methods": [
            {"method": "grad_x_input"},
            {"method": "integrated_gradients", "references": "shuffle:2", "n_steps": 3},
        ],
    },
}

#: Fewer and shorter sequences, of which a label asks for two motifs together.
RULED_SIMULATION = {
    **TINY_RUN["simulation"],
    "seq_length": 170,
    "n_sequences": 300,
    "elements": [
        {"motif": "HNF4A", "rate": 0.3, "enriched": {"HepG2": 1.5}},
        {"motif": "GATA1", "rate": 0.8},
        {"motif": "SPI1", "rate": 0.8},
    ],
    "rules": [{"task": "K562", "when": "GATA1 and SPI1"}],
}
