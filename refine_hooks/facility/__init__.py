"""Many projects in one process: found by patterns, watched side by side, measured by a few processes that all share."""
