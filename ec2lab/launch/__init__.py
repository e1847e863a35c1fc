"""From an experiment to instances that run: what is asked for, and how their set-up is seen through."""
