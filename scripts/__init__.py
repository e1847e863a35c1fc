"""The scripts behind the Makefile: one concern each, run as `python -m scripts.NAME`."""
