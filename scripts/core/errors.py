"""The one class of error that a user can mend."""


class LabError(Exception):
    """Something the user can mend, in one line: what is wrong, where, and how to mend it.

    `console.run` prints the line and exits with 1; anything else that escapes a script is a bug of ours.
    """
