"""Commands that watch or measure."""
