"""The dispatch hub."""

__version__ = "0.1.0"
