"""Runs: an experiment's command, its code, its log and its exit status."""
