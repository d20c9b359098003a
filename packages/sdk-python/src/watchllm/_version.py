"""The version, which the distribution takes from here."""

__version__ = "0.2.0"
