"""Many launches of one experiment at once."""
