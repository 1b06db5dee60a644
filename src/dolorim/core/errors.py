"""What a user can mend, as opposed to a bug."""


class UserError(Exception):
    """A problem in the user's input: one line with what was expected, what was found, where, and what to do.

    The command line prints it without a traceback and exits with code 2. Anything else that is raised is a bug.
    """
