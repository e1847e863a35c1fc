"""`make doctor`: its checks, and what they query."""
