"""Bags of visual words: descriptors, what they become, and the file that holds a classifier."""

FILE = "phow.safetensors"
"""In a model folder."""
