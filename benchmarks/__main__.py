"""Run every benchmark."""

from benchmarks import bench_dialogues, bench_start

bench_start.main()
bench_dialogues.main()
