"""Telling those who asked of a log that grows."""
