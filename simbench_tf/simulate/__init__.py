"""Simulators: `peaks` puts real motif hits back into shuffled real regions, `grammar` draws from a stated model."""
