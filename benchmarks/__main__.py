"""Run every benchmark."""

from benchmarks import bench_dialogues, bench_graph, bench_journal, bench_sampling, bench_start

bench_start.main()
bench_dialogues.main()
bench_journal.main()
bench_sampling.main()
bench_graph.main()
