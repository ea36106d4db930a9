"""Property tests here touch files, whose time says nothing about the code."""

from hypothesis import settings

settings.register_profile("files", deadline=None)
settings.load_profile("files")
