"""The errors that a user can mend."""


class LabError(Exception):
    """Something the user can mend, in one line: what is wrong, where, and how to mend it.

    `console.run` prints the line and exits with 1; anything else that escapes a script is a bug of ours.
    """


class UsageError(LabError):
    """A variable or an option whose value is not of its type: the exit status is 2."""


class PluginFailed(LabError):
    """A plugin raised what is no error of its user's, or returned what nothing can be done with."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} (correct the plugin, or remove it; DEBUG=1 shows more)")
        self.what = what
