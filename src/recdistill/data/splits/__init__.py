"""Ways to hold events out; the table of them is ``recdistill.data.SPLITS``."""
