"""The one exception that says that a user asked to stop."""


class Stopped(Exception):
    """The user asked to stop; everything so far is stored, and the same command goes on from there."""
