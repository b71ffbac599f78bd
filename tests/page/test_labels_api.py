"""The data set of labelled clips, as it is asked for."""

import pytest

from desks import as_reader, judging_desk


@pytest.fixture
def desk(tmp_path):
    made = judging_desk(tmp_path)
    yield made
    made.close()


def test_who_may_look_may_have_it_and_without_labels_there_is_none(desk):
    as_reader(desk)
    assert "first" in desk.ask("GET", "/api/labelled.zip", None, 404)["error"]
