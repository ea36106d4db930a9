"""Tests of what weight files hold."""
