"""The stages of a run, one file each: what a stage's results depend on, and the code that makes them."""
