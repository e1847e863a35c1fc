"""The library that the scripts and plugins import. docs/architecture.md has its layers: imports go down only."""
