"""Data volumes: what is mounted where, and what becomes of it at teardown."""
