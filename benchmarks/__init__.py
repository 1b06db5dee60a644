"""Measurements on real data and real hardware; what they found lies in `results/`."""
