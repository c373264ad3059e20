"""The quality benchmarks: published splits, the neutral referee, and the baselines that anything must beat."""
