"""Simulators: `peaks` puts real motif hits into shuffled regions, `grammar` draws from a model, `text` reads files."""
