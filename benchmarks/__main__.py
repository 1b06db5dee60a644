"""All measurements, one after the other: `make bench` (about an hour on two cores)."""

from benchmarks import bottomview, loader, memory, review, speed

for benchmark in (speed, memory, loader, review, bottomview):
    benchmark.main()
