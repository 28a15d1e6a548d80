"""What a change of the structure must not change: the same commands, the same bytes."""
