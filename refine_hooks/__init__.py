"""Honest half maps, an automask and a traceable FSC for every round of a cryo-EM refinement."""

__version__ = "0.1.0"
