"""The version, for the wheel and for what is written."""

__version__ = "0.1.0"
