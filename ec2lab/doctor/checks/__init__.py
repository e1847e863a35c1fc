"""The built-in checks of `make doctor`."""
