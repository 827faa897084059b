"""Helpers for the other parts; not public."""
