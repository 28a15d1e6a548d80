"""A page for people: drop a film, see it with its probabilities and heat maps."""
