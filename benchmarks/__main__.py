"""Run every benchmark."""

from benchmarks import bench_dialogues

bench_dialogues.main()
