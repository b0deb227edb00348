"""The watch: one loop over the rounds of one project."""
