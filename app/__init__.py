"""Tidemark: recorded connector status, and completion tokens that answer truthfully."""
