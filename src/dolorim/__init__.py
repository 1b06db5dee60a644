"""dolorim: pain behaviors of mice, frame by frame, from bottom-view video."""

__version__ = "0.1.0"
