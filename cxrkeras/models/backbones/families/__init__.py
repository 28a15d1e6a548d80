"""Backbones that a library provides by the dozen."""

from cxrkeras.models.backbones.families.applications import Applications

FAMILY = Applications()
