"""The AWS account as a whole: what it lacks for the lab, and what in it is the lab's."""
