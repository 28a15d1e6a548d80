"""`cxrkeras prep`: raw DICOM, images and tables -> a prepared dataset."""

from cxrkeras.commands.prep.verbs import command

__all__ = ["command"]
