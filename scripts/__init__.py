"""The scripts behind the Makefile, one command each: `python -m scripts.NAME`."""

import gc

ALLOCATIONS = 250_000
"""Allocations between garbage collections. With Python's default of 700, collections during the imports take a tenth of
a script's start-up time."""

gc.set_threshold(ALLOCATIONS)
