"""All measurements, one after the other: `make bench` (several hours on two cores)."""

from benchmarks import (
    alignment,
    bottomview,
    coverage,
    decoding,
    formalin,
    loader,
    memory,
    null_effect,
    speed,
)

for benchmark in (speed, memory, loader, alignment, bottomview, coverage, decoding, formalin, null_effect):
    benchmark.main()
