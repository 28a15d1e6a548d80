"""Weights that others trained, from their file formats and names into a trunk of ours."""
