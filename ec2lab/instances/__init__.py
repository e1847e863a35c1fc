"""Existing instances: status, expiry, stop, start and teardown."""
