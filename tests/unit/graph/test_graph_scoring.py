from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.graph.graph import build_graph
from toolflow.graph.scoring import (
    Gold,
    baselines,
    calibrate,
    calibrate_threshold,
    measure_pairs,
    read_gold,
    score_graph,
    tools_of,
)

TOOLS = (
    make_tool("find_flight", {"origin_city": TEXT}, {"flight_id": TEXT}),
    make_tool("book_flight", {"flight_id": TEXT}),
    Tool("lamp", "", {"type": "object"}, None, source="home", source_id="GET /lamp"),
)


def write_gold(path: Path, *pairs: tuple[str, str], kind: str = "sequence") -> Path:
    lines = [{"from_tool": start, "to_tool": end, "kind": kind, "support": 2} for start, end in pairs]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_ends_are_names_or_source_ids_and_what_is_not_found_is_counted(tmp_path: Path) -> None:
    path = write_gold(
        tmp_path / "gold",
        ("find_flight", "book_flight"),
        ("find_flight", "book_flight"),
        ("find_flight", "GET /lamp"),
        ("find_flight", "unheard"),
    )
    gold = read_gold(path, TOOLS)
    assert gold.pairs == ((0, 1), (0, 2))
    assert (gold.missing, gold.missing_examples, gold.kinds) == (1, ("unheard",), {"sequence": 4})
    assert tools_of(path, TOOLS) == TOOLS
    assert tools_of(write_gold(tmp_path / "two", ("find_flight", "lamp")), TOOLS) == (TOOLS[0], TOOLS[2])


def test_gold_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be read"):
        read_gold(tmp_path / "missing", TOOLS)
    with pytest.raises(GraphError, match="none of its 1") as caught:
        read_gold(write_gold(tmp_path / "other", ("a", "b")), TOOLS)
    assert "'a', 'b'" in (caught.value.hint or "")
    broken = write_gold(tmp_path / "broken", ("find_flight", "lamp"))
    broken.write_text(broken.read_text() + '{"from_tool": 3}\n')
    with pytest.raises(GraphError, match=r"broken:2"):
        read_gold(broken, TOOLS)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(GraphError, match="holds no gold links"):
        read_gold(tmp_path / "empty", TOOLS)
    with pytest.raises(GraphError, match=r"odd:1: 'friendship'") as caught:
        read_gold(write_gold(tmp_path / "odd", ("find_flight", "lamp"), kind="friendship"), TOOLS)
    assert "resource-type" in (caught.value.hint or "")
    with pytest.raises(GraphError, match="none of its 1") as caught:
        read_gold(write_gold(tmp_path / "typo", ("find_fligt", "lamp")), TOOLS)
    assert "'find_fligt' (like 'find_flight')" in (caught.value.hint or "")


def test_recall_and_precision_at_a_density() -> None:
    scores = np.zeros((5, 5), dtype=np.float32)
    scores[0, 1], scores[0, 2], scores[1, 2] = 0.9, 0.8, 0.3
    gold = Gold(((0, 1), (1, 2)), {"sequence": 2}, 0, ())
    measured = measure_pairs("made", scores, gold)
    tenth, twentieth = measured.densities  # 2 and 1 of 20 pairs
    assert (tenth.recall, tenth.precision, tenth.threshold) == (0.5, 0.5, 0.8)
    assert (twentieth.recall, twentieth.precision) == (0.5, 1.0)
    from_quarter = next(kept for kept in measured.sweep if kept.threshold == 0.25)
    assert (from_quarter.recall, from_quarter.density) == (1.0, 0.15)
    assert from_quarter.f1 == 0.8


def test_calibration_takes_the_best_f1_only_where_gold_is_complete() -> None:
    scores = np.zeros((5, 5), dtype=np.float32)
    scores[0, 1], scores[1, 2], scores[3, 4] = 0.9, 0.8, 0.2
    pairs = ((0, 1), (1, 2))
    complete, sparse = (Gold(pairs, {kind: 2}, 0, ()) for kind in ("resource-type", "sequence"))
    measured = measure_pairs("made", scores, complete)
    assert calibrate(measured, complete).f1 == 1.0
    assert calibrate(measured, sparse).density == 0.1


def test_the_threshold_is_the_cosine_that_calibration_picks() -> None:
    cosines = np.full((5, 5), -1, dtype=np.float32)
    cosines[0, 1], cosines[1, 2], cosines[3, 4] = 0.917, 0.814, 0.2
    gold = Gold(((0, 1), (1, 2)), {"sequence": 2}, 0, ())
    assert calibrate_threshold(measure_pairs("cosine", cosines, gold), gold) == 0.81


def test_a_threshold_can_be_handed_on_where_few_results_have_fields() -> None:
    cosines = np.full((5, 5), -1, dtype=np.float32)
    cosines[0, 1] = 0.5
    gold = Gold(((0, 1), (1, 2)), {"sequence": 2}, 0, ())
    assert calibrate_threshold(measure_pairs("cosine", cosines, gold), gold) == 0.5
    cosines[0, 1] = cosines[1, 2] = 1.0
    assert calibrate_threshold(measure_pairs("cosine", cosines, gold), gold) == 0.99
    nothing = np.full((5, 5), -1, dtype=np.float32)
    assert calibrate_threshold(measure_pairs("cosine", nothing, gold), gold) is None


def test_equal_scores_give_no_tool_an_advantage_by_its_place() -> None:
    scores = np.ones((40, 40), dtype=np.float32)
    gold = Gold(tuple((0, consumer) for consumer in range(1, 40)), {"sequence": 39}, 0, ())
    assert measure_pairs("even", scores, gold).densities[0].recall < 0.4


def test_the_graph_is_scored_beside_the_baselines(tmp_path: Path) -> None:
    gold = read_gold(write_gold(tmp_path / "gold", ("find_flight", "book_flight")), TOOLS)
    scores = score_graph(build_graph(TOOLS, WordEncoder()), gold, WordEncoder())
    assert [score.method for score in scores] == ["graph", "cosine", "exact-name"]
    assert all(score.sweep[0].recall == 1.0 for score in scores)


def test_the_baselines_take_the_best_pair_of_fields() -> None:
    exact, cosine = baselines(TOOLS, WordEncoder())
    assert exact[0, 1] == 1
    assert cosine[0, 1] == pytest.approx(1)
    assert exact[1, 0] == cosine[1, 0] == -1  # nothing is known of its result
