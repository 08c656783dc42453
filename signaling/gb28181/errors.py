"""The error of this room: a stable id and one plain sentence."""


class GbError(ValueError):
    """What came cannot be used, or what is asked cannot be said. ``code`` is stable, like ``gb28181.xml``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
