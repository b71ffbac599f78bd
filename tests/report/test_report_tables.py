"""Cells of a report's tables: what they say is what was counted."""

from dataclasses import replace

from nearfar.report.contents import gather
from nearfar.report.tables import (
    MANY,
    RUNS,
    alarms_table,
    comparison_table,
    condition_table,
    days_table,
    figures_table,
    published_table,
    recordings_tables,
    spread_table,
    top_table,
)
from reports import judged, official, plant


def column(grid, name):
    place = grid.head.index(name)
    return [row[place].text for row in grid.rows]


def test_each_row_has_as_many_cells_as_there_are_heads():
    contents = gather(judged([*official("fan", 4), *official("pump", 4)], silent=(1,)))
    panel = contents.panels[0]
    tables = [figures_table(contents), alarms_table(contents), condition_table(contents),
              spread_table(panel), top_table(panel, contents.top["fan"], {})]  # fmt: skip
    for grid in tables:
        assert grid.rows
        assert {len(row) for row in grid.rows} == {len(grid.head)}


def test_false_alarms_and_found_anomalies_are_counted_by_label():
    run = judged(official("fan", 5))
    grid = figures_table(gather(run))
    normal, bad = ([v.anomalous for v in run.scores if v.clip.label == label]
                   for label in ("normal", "anomaly"))  # fmt: skip
    assert column(grid, "false alarms") == [f"{sum(normal)} of 10"] * 2
    assert column(grid, "anomalies found") == [f"{sum(bad)} of 10"] * 2


def test_alarms_of_unlabelled_recordings_are_counted_and_silence_is_told():
    run = judged(plant(count=10), scores=[2.0] * 4 + [0.0] * 6, silent=(9,))
    grid = alarms_table(gather(run))
    assert column(grid, "clips") == ["10"]
    assert column(grid, "not judged") == ["1"]
    assert column(grid, "anomalous") == ["4"]
    assert column(grid, "share") == ["44.4 %"]


def test_machines_without_labels_are_counted_apart():
    contents = gather(judged([*official("fan", 3), *plant("pump", 4)]))
    assert column(figures_table(contents), "machine") == ["fan", "all"]
    assert column(alarms_table(contents), "machine") == ["pump"]
    # No one machine's clips are called normal for want of a label.
    assert column(figures_table(contents), "false alarms")[1].endswith(" of 6")


def test_of_nothing_judged_there_are_dashes():
    grid = alarms_table(gather(judged(plant(count=2), silent=(0, 1))))
    assert column(grid, "share") == ["–"]
    assert column(grid, "highest percentile") == ["–"]


def test_published_numbers_stand_beside_whole_machines_only():
    fan = published_table(gather(judged(official("fan"))))
    assert fan.head == ("system", "fan", "Ω")
    assert fan.rows[0][-1].text == "–"  # of one machine there is no Ω of the set
    assert published_table(gather(judged(official("fan", 49)))) is None
    assert published_table(gather(judged(plant("fan", 200)))) is None
    assert published_table(gather(judged(official("fan"), simulated="SIMULATED v1"))) is None


def test_without_another_result_there_is_nothing_to_compare():
    assert comparison_table(gather(judged(official("fan", 3)))) is None


def test_the_last_days_are_listed_and_the_others_counted():
    from datetime import timedelta

    contents = gather(judged(plant(count=MANY + 10, step=timedelta(days=1))))
    grid = days_table(contents)
    assert len(grid.rows) == MANY
    assert f"{MANY} of {MANY + 10} days" in grid.rest
    assert days_table(gather(judged(official("fan", 2)))) is None


def test_long_recordings_name_minutes_and_runs():
    parts = [
        replace(clip, path=plant()[0].path, start=10.0 * n, stop=10.0 * n + 10, time=None)
        for n, clip in enumerate(plant(count=40))
    ]
    scores = [2.0 if n % 5 == 0 else 0.0 for n in range(40)]
    ((name, line, minutes, runs),) = recordings_tables(gather(judged(parts, scores=scores)))
    assert name == "pump/0000.wav"
    assert "40 clips, 8 anomalous" in line
    assert column(minutes, "minute")[0] == "0:00:00"
    assert len(runs.rows) == RUNS
    assert runs.rest == "and 3 shorter ones"


def test_a_link_leads_to_the_explanation_of_its_clip():
    contents = gather(judged(official("fan", 3)))
    panel, top = contents.panels[0], contents.top["fan"]
    grid = top_table(panel, top, {("fan", top[1].clip.name): "clip-7"})
    assert [row[0].link for row in grid.rows[:3]] == ["", "clip-7", ""]


def test_labels_are_a_column_only_where_there_are_some():
    known, bare = gather(judged(official("fan", 2))), gather(judged(plant(count=3)))
    assert "label" in top_table(known.panels[0], known.top["fan"], {}).head
    assert "label" not in top_table(bare.panels[0], bare.top["pump"], {}).head
