"""The errors that a user can mend: one line each, an exit status, never a traceback."""


class UserError(Exception):
    """Something the user can mend: a parameter, a file, a mirror, a full disk.

    The message is one line: the file, key or image; what was found; what was expected; what to do.
    """

    exit_status = 2


class TrainingDiverged(UserError):
    """A loss or a weight stopped being finite. The last good checkpoint is kept, no output written."""
