"""Benchmarks: ratios against what a user would do instead, measured in the same run. Each prints its own table."""
