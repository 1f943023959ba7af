"""Why a version is not served."""


class RefusedError(Exception):
    """The version may not be served; the message says why, and what to do."""
