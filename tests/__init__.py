"""Tests, mirroring the package one to one."""
