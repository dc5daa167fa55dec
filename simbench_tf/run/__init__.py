"""The run directory: its folder and configuration, manifest, models, attribution files and result files."""
