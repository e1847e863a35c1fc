"""Errors that users can fix."""


class UserError(Exception):
    """Something the user can fix, in one line: what is wrong, where, and how to fix it.

    `console.run` prints the line and exits with its status; anything else that escapes a script is a bug of ours.
    """

    exit_status = 1


class UsageError(UserError):
    """A variable or an option whose value is not of its type."""

    exit_status = 2


class PluginFailed(UserError):
    """A plugin raised an unexpected error, or returned something invalid."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} (correct the plugin, or remove it; DEBUG=1 shows more)")
        self.what = what
