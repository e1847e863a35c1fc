"""What is measured: calls on the wire, start-up, the registry, a sweep. Run by `make bench`."""
