"""Models of the lab's files: the team's settings, its experiments, its members."""
