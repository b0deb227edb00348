"""The log: its records, its file, its index and the folder that it lies in."""
