"""Tests of recdistill.data."""
