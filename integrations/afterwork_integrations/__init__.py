"""Integrations of afterwork, one module per vendor; each needs the extra of its name."""
