"""What is measured: calls on the wire, start-up, the registry. Run by `make bench`."""
