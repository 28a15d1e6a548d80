"""`cxrkeras weights`: trunks that others trained, and what a weights file says about itself."""

from cxrkeras.commands.weights.verbs import command

__all__ = ["command"]
