"""MovieLens: readers of its folders, and ml-latest-small itself (non-commercial use; see README.txt here)."""
