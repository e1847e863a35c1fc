"""The account as a whole: what it lacks for the lab, what in it is the lab's, what nobody remembers."""
