"""Data on volumes and in snapshots: data sets made, copied, mounted, kept."""
