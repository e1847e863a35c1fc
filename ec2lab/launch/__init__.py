"""From an experiment to machines that run: what is asked for, and how their set-up is seen through."""
