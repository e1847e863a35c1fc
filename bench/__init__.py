"""What is measured, side by side and in turns: run by `make bench`, told in docs/benchmarks.md."""
