"""From a small, labelled pile of chest radiographs to a multi-label classifier."""

__version__ = "0.1.0"
