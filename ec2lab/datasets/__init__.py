"""Datasets: snapshots that are built, copied, verified and pruned."""
