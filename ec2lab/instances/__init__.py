"""Instances that exist: what lives, until when, stopped, started, taken down."""
