"""Speed and memory as ratios against a floor that is measured in the same run; `make bench` runs all.

As an app of Django it has the command `demo_data`.
"""
