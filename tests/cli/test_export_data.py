"""The command export-data."""

import nearfar as nf


def test_what_it_writes_is_fitted_and_scored_as_the_data_are(run, dcase, tmp_path):
    folder = tmp_path / "hf"
    code, out, err = run("export-data", dcase, "-o", folder, "--link", "--license", "CC0")
    assert (code, f"wrote {folder}" in out) == (0, True), err
    assert "license: cc0-1.0" in (folder / "README.md").read_text()
    found = []
    for data in (dcase, folder):
        det = tmp_path / f"{data.name}.detector"
        assert run("fit", data, "-s", "logmel", "-o", det, "--workers", 1)[0] == 0
        found.append(nf.load(det).self_scores("fan").tolist())
    assert found[0] == found[1]


def test_user_errors_are_one_line_and_leave_nothing(run, dcase, tmp_path):
    for arguments in (
        (dcase, "-o", dcase / "hf"),
        (tmp_path / "gone", "-o", tmp_path / "hf"),
        (dcase, "-o", tmp_path / "hf", "--license", ""),
        (dcase, "-o", tmp_path / "hf", "--near", 1, "--far", 9),
    ):
        code, _, err = run("export-data", *arguments)
        assert (code, err.splitlines()[-1].startswith("error: ")) == (2, True), err
        assert not list(tmp_path.iterdir())
