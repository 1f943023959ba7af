"""The one error type that a person is meant to read."""


class InputError(Exception):
    """Something outside the code is wrong: a file, a key, a row, a machine.

    The message names the file, the key or column, and what to do. Entry points print it as one
    line and exit with 1; any other exception is an internal fault and keeps its traceback.
    """
