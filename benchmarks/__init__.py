"""Benchmarks of speed and memory, compared with a baseline of the same run. `make bench` runs all.

As a Django app, this package has the command `demo_data`.
"""
