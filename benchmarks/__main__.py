"""All measurements, one after the other: `make bench` (about an hour on two cores)."""

from benchmarks import bottomview, coverage, decoding, loader, memory, speed

for benchmark in (speed, memory, loader, bottomview, coverage, decoding):
    benchmark.main()
