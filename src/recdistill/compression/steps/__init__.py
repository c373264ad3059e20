"""The steps of a chain of compression, one file each; the table is in the room's ``__init__``."""
