"""Where records are kept: a file on this machine, or a table that a team shares."""
