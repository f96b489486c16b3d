"""Dead letters: durable calls that are over without success, kept until somebody decides."""

from __future__ import annotations

PREFIX = "dead:"
"""Begins the keys of their envelopes among the store's notes."""
