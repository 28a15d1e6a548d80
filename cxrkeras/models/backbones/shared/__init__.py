"""What several backbones share."""
