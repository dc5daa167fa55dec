"""One plug-in of each kind: what `simbench_tf` gives each of them, and what it gives back."""
