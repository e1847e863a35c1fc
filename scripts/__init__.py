"""The scripts behind the Makefile: one concern each, run as `python -m scripts.NAME`."""

import gc

ALLOCATIONS = 250_000
"""Between two searches for garbage; with Python's own 700 it would look through all that is being imported, again and
again, which is a tenth of a script's start."""

gc.set_threshold(ALLOCATIONS)
