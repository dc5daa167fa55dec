"""Which attribution method can I trust on my regulatory-genomics model? Ask simulated DNA, whose motifs are known."""
