"""What a lab's files say, read and checked: the team, its experiments, its members."""
