"""All measurements, one after the other: `make bench` (many hours on two cores)."""

from importlib import import_module

QUICK = (
    "speed",
    "multitask_speed",
    "pose_speed",
    "throughput",
    "memory",
    "many",
    "loader",
    "feature_cache",
)
RIGHT = (
    "alignment",
    "by_hand",
    "clusters",
    "coverage",
    "decoding",
    "doses",
    "formalin",
    "null_effect",
    "likelihood",
    "fuzz",
)
LEARNED = (
    "prior",
    "frame_rates",
    "bottomview",
    "composite",
    "keypoints",
    "social_rat",
    "ladder",
    "recipe",
)

# `gpu`, `ray_cluster` and `review` (which drives Chromium) are left out: they need what not every
# machine has.
for name in (*QUICK, *RIGHT, *LEARNED):
    import_module(f"benchmarks.{name}").main()
