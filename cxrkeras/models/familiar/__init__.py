"""Which films a model knows: how far a film's features lie from those of its training films."""

FILE = "familiar.safetensors"
"""In a model's folder, beside model.keras; older models, and kinds without a network, have none."""
