"""Following experiments, and notifying people."""
