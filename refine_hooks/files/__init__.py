"""Reading what other programs wrote, and writing files of our own."""
