"""Tests of the tests: `make mutants` breaks what decides, one change at a time, and says which changes go unnoticed."""
