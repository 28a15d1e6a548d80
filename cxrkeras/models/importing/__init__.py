"""Weights that others trained: from their file formats and names into our trunks."""
