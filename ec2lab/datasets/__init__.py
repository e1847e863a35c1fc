"""Data on volumes and in snapshots: datasets made, copied, mounted, kept."""
