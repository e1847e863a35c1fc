"""The checks of `make doctor` that come with the lab."""
