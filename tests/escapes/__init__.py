"""Escape attempts against the booted system and the core, and the table that names them."""
