"""The one exception for what a user can cause. Its text is one line: what was wrong, where, what to do."""


class LettergpuError(Exception):
    """The command line prints it as `error: ...` and exits with 2."""
