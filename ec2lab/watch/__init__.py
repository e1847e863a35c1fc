"""Following experiments, and telling those whom it concerns."""
