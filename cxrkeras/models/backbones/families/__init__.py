"""Backbones that a library brings by the dozen."""

from cxrkeras.models.backbones.families.applications import Applications

FAMILY = Applications()
