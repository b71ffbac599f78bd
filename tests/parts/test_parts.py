"""Systems as data and back, settings by name, parts from a person's own file."""

import dataclasses
import importlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nearfar as nf
from nearfar.errors import FormatError, NearfarError, SettingError
from nearfar.parts.change import with_setting
from nearfar.parts.data import TYPES, from_data, to_data
from nearfar.parts.own import from_file, user_files, user_module
from nearfar.system.presets import PRESETS

ENSEMBLE = nf.Ensemble((nf.s4(), replace(nf.logmel(), calibration=nf.ZScore())), (0.6, 0.4))
PARTS = [
    nf.Near(), nf.Far(), nf.Stereo(), nf.DIF(), nf.DIF(names=nf.DIF().names[5:9]), nf.LogMel(),
    nf.LogMel(64, 512, 256), nf.ZCA(), nf.ZCA("ledoit-wolf"), nf.ZCA(0.3), nf.KNN(),
    nf.KNN((1.0, -0.35, -0.05), "euclidean"), nf.PseudoTarget(), nf.ResidualAugmentation(),
    nf.ResidualAugmentation(((0.5, 0.0), (-1.0, 2.0)), (0.0, 2.0), True), nf.Raw(), nf.ZScore(),
    nf.Percentile(), nf.Percentile("linear"), nf.s4(), nf.logmel(), ENSEMBLE, nf.MeanShift(),
    nf.UnitLength(), nf.Standardise(), replace(nf.s4(), adaptation=nf.MeanShift()),
    replace(nf.s4(), self_scores="loo", folds=3, false_alarm_rate=0.01, seed=2**60),
]  # fmt: skip


def one_line(error):
    assert "\n" not in str(error)
    assert str(error)
    return str(error)


# ---- there and back


@pytest.mark.parametrize("part", PARTS, ids=lambda p: repr(p)[:40])
def test_round_trip_through_json(part):
    data = to_data(part)
    text = json.dumps(data, allow_nan=False)
    again = from_data(json.loads(text))
    assert again == part
    assert repr(again) == repr(part)
    assert hash(again) == hash(part)
    assert to_data(again) == data


def test_every_type_on_the_list_exists_and_is_a_frozen_dataclass():
    for name, module in TYPES.items():
        cls = getattr(importlib.import_module(module), name)
        assert cls.__module__.startswith(module)
        assert cls.__dataclass_params__.frozen


def test_every_part_that_is_public_is_on_the_list():
    classes = {n for n in nf.__all__ if dataclasses.is_dataclass(getattr(nf, n))}
    no_parts = {"Clip", "Detector", "Evaluation", "FineTuning", "Runtime", "Verdict"}
    assert classes - no_parts <= set(TYPES)


def test_data_are_plain():
    assert to_data(nf.KNN((1.0, -0.35), "euclidean")) == {
        "type": "KNN", "weights": [1.0, -0.35], "metric": "euclidean"
    }  # fmt: skip
    assert to_data((1, 2.5, "x", None, True, Path("a") / "b")) == [1, 2.5, "x", None, True, "a/b"]


def test_what_older_nearfars_lack_is_saved_only_where_it_is_used():
    assert "adaptation" not in to_data(nf.s4())
    adapted = to_data(replace(nf.s4(), adaptation=nf.UnitLength()))
    assert adapted["adaptation"] == {"type": "UnitLength"}
    del adapted["adaptation"]
    assert adapted == to_data(nf.s4())


@given(st.floats(0, 1, exclude_min=True), st.integers(0, 2**70))
@settings(max_examples=50, deadline=None)
def test_numbers_survive_exactly(rate, seed):
    if not 0 < rate < 1:
        return
    system = replace(nf.logmel(), false_alarm_rate=rate, seed=seed)
    assert from_data(json.loads(json.dumps(to_data(system)))) == system


@dataclass(frozen=True)
class Mine:
    """A third party's part."""

    value: Any = 1.0
    constant: ClassVar[int] = 3


@pytest.mark.parametrize(
    "value",
    [np.nan, np.inf, -np.inf, {1}, {"a": 1}, b"x", 1j, np.arange(3), object(), Mine, np.int64],
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(SettingError, match="cannot be saved") as caught:
        to_data(Mine(value))
    one_line(caught.value)


def test_third_party_parts_are_passed_in_never_imported():
    data = json.loads(json.dumps(to_data(Mine((1, Mine(2))))))
    assert from_data(data, types=(Mine,)) == Mine((1, Mine(2)))
    with pytest.raises(
        FormatError, match=r"part of type 'Mine'.*types=\(Mine,\).*--part"
    ) as caught:
        from_data(data)
    one_line(caught.value)
    sys.modules.pop("this", None)
    for name in ("os.system", "this", "builtins.eval", "nearfar.KNN", "MemoryBank", "Runtime"):
        with pytest.raises(FormatError, match="not one of ours"):
            from_data({"type": name})
    assert "this" not in sys.modules


def test_a_part_with_the_name_of_ours_is_not_taken_for_it():
    """Saved by name alone it would come back as another class, and score differently."""

    @dataclass(frozen=True)
    class KNN(nf.KNN):
        pass

    with pytest.raises(SettingError, match="rename it"):
        to_data(replace(nf.logmel(), rule=KNN()))


def test_a_setting_called_type_is_refused():
    @dataclass(frozen=True)
    class Window:
        type: str = "hann"

    with pytest.raises(SettingError, match=r"Window\.type"):
        to_data(Window())


def test_things_that_are_no_types_are_not_called():
    for other in (Mine(), "Mine", len, None, object):
        with pytest.raises(FormatError):
            from_data({"type": "Mine"}, types=(other,))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "KNNN"}, r"part of type 'KNNN', which is not one of ours"),
        ({"type": None}, r"part of type None"),
        ({}, r"part of type None"),
        ({"type": ["KNN"]}, r"part of type \['KNN'\]"),
        ({"type": "a\nb"}, r"part of type 'a\\nb'"),
        ({"type": "KNN", "weihgts": [1.0]}, r"no setting 'weihgts'; did you mean 'weights'"),
        ({"type": "KNN", "weights": []}, r"KNN\.weights is \(\)"),
        ({"type": "KNN", "weights": 1.0}, r"KNN\.weights is 1\.0"),
        ({"type": "KNN", "weights": {"type": "KNN"}}, r"KNN\.weights is KNN"),
        ({"type": "Near", "needs": 5}, r"Near has no setting 'needs'"),
        ({"type": "System"}, r"System cannot be made of \[\]"),
        ({"type": "System", "frontend": "Near", "embedder": 3}, r"System\.frontend is 'Near'"),
        ({"type": "ZCA", "shrinkage": 10**400}, r"ZCA\.shrinkage"),
        ({"type": "KNN", "weights": [10**400]}, r"KNN\.weights"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit(data, words):
    with pytest.raises(FormatError, match=words) as caught:
        from_data(data)
    one_line(caught.value)


@dataclass(frozen=True)
class Fragile:
    """Fails in a way of its own."""

    how: str = ""

    def __post_init__(self):
        if self.how == "zero":
            1 / 0  # noqa: B018
        if self.how == "key":
            {}["x"]
        if self.how == "lines":
            raise ValueError("one\ntwo")


@pytest.mark.parametrize("how", ["zero", "key", "lines"])
def test_a_part_may_fail_as_it_likes(how):
    with pytest.raises(FormatError) as caught:
        from_data({"type": "Fragile", "how": how}, (Fragile,))
    assert "Fragile cannot be made of ['how']" in one_line(caught.value)
    with pytest.raises(SettingError) as caught:
        with_setting(Fragile(), f"how={how}")
    assert "Fragile.how cannot be" in one_line(caught.value)


@pytest.mark.parametrize("depth", [300, 900, 5000, 100_000])
def test_data_nested_deeply(depth):
    for data, wrap in (
        (1, lambda x: [x]),
        ({"type": "Raw"}, lambda x: {"type": "Mine", "value": x}),
    ):
        for _ in range(depth):
            data = wrap(data)
        try:
            from_data(data, (Mine,))
        except FormatError as error:
            one_line(error)


NAMES = sorted({f.name for p in PARTS for f in dataclasses.fields(p)})
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=8),
    st.sampled_from(["cosine", "euclidean", "flat", "linear", "ledoit-wolf", "loo"]),
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["type", "x", *NAMES]), inner, max_size=4),
        st.builds(
            lambda name, values: {"type": name, **values},
            st.sampled_from(sorted(TYPES)),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        ),
    ),
    max_leaves=12,
)


@given(anything)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_gives_a_value_or_a_format_error(data):
    try:
        from_data(data)
    except FormatError as error:
        one_line(error)


@given(st.sampled_from(PARTS), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_changed_value_gives_a_part_or_a_format_error(part, data):
    """Nearer to what a damaged or hand-edited file looks like."""
    plain = to_data(part)
    place = plain
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(anything)
        break
    try:
        again = from_data(plain)
    except FormatError as error:
        one_line(error)
    else:
        assert from_data(json.loads(json.dumps(plain))) == again or "NaN" in json.dumps(plain)


# ---- one setting by name


@pytest.mark.parametrize(
    ("system", "assignment", "value"),
    [
        ("s4", "whitening.shrinkage=0.1", lambda s: s.whitening.shrinkage == 0.1),
        ("s4", "whitening.shrinkage=ledoit-wolf", lambda s: s.whitening.shrinkage == "ledoit-wolf"),
        ("s4", " seed = 7 ", lambda s: s.seed == 7),
        ("s4", "self_scores='loo'", lambda s: s.self_scores == "loo"),
        ("s4", "whitening=None", lambda s: s.whitening is None),
        ("s4", "rule.weights=(1.0, -0.5)", lambda s: s.rule.weights == (1.0, -0.5)),
        ("s4", "rule.weights=[1.0, -0.5]", lambda s: s.rule.weights == (1.0, -0.5)),
        ("s4", "rule.weights.0=0.5", lambda s: s.rule.weights == (0.5,)),
        ("s4", "enrichment=()", lambda s: s.enrichment == ()),
        ("s4", "enrichment.0.match_levels=True", lambda s: s.enrichment[0].match_levels),
        (
            "s4", "enrichment.ResidualAugmentation.s_range=[0.8, 1.2]",
            lambda s: s.enrichment[0] == nf.ResidualAugmentation(s_range=(0.8, 1.2)),
        ),
        (
            "s4", "enrichment.0.tiers=[[0.5, 0.0], [-1, 2]]",
            lambda s: s.enrichment[0].tiers == ((0.5, 0.0), (-1, 2)),
        ),
        ("logmel", "embedder.n_mels=64", lambda s: s.embedder == nf.LogMel(n_mels=64)),
        ("s4", "adaptation=MeanShift", lambda s: s.adaptation == nf.MeanShift()),
        ("s4", "adaptation=UnitLength()", lambda s: s.adaptation == nf.UnitLength()),
        ("s4", "calibration=Percentile", lambda s: s.calibration == nf.Percentile()),
        ("s4", "enrichment.0=PseudoTarget", lambda s: s.enrichment == (nf.PseudoTarget(),) * 2),
        ("logmel", "whitening=ZCA", lambda s: s.whitening == nf.ZCA()),
        ("logmel", "false_alarm_rate=.02", lambda s: s.false_alarm_rate == 0.02),
    ],
)  # fmt: skip
def test_setting(system, assignment, value):
    before = PRESETS[system](system, [])
    after = with_setting(before, assignment)
    assert value(after)
    assert before == PRESETS[system](system, [])
    assert type(after) is type(before)
    assert from_data(json.loads(json.dumps(to_data(after)))) == after


def test_setting_of_a_member_of_an_ensemble():
    after = with_setting(ENSEMBLE, "members.1.embedder.n_mels=40")
    assert after.members[1].embedder.n_mels == 40
    assert after.members[0] == ENSEMBLE.members[0]
    assert with_setting(ENSEMBLE, "weights=(1, 3)").weights == (1, 3)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("whitening.shrinkge=0.1", r"ZCA has no setting 'shrinkge'; did you mean 'shrinkage'\?"),
        ("whitning.shrinkage=0.1", r"System has no setting 'whitning'; did you mean 'whitening'\?"),
        ("x=1", r"System has no setting 'x'; it has: .*whitening"),
        ("whitening..shrinkage=1", r"ZCA has no setting ''"),
        ("whitening.shrinkage", r"is not part\.setting=value"),
        ("=3", r"is not part\.setting=value"),
        ("", r"is not part\.setting=value"),
        ("whitening.shrinkage=2", r"ZCA\.shrinkage is 2"),
        ("whitening.shrinkage=", r"ZCA\.shrinkage is ''"),
        ("seed.x=1", r"0 has no settings, so no 'x'"),
        ("seed=1.5", r"seed is 1\.5"),
        ("seed={[]: 1}", r"seed is '\{\[\]: 1\}'"),
        ("seed={}", r"seed is \{\}"),
        ("enrichment.2.s_range=(0, 1)", r"no part '2'; it has: 0, 1, PseudoTarget, Resid"),
        ("enrichment.-1.s_range=(0, 1)", r"no part '-1'"),
        ("enrichment.\u00b2.s_range=(0, 1)", r"no part '\u00b2'"),
        (
            "enrichment.ResidualAugmentatoin.s_range=(0, 1)",
            r"did you mean 'ResidualAugmentation'\?",
        ),
        ("enrichment.PseudoTarget.s_range=(0, 1)", r"PseudoTarget has no setting 's_range'"),
        ("frontend=Near", r"Near\(\) gives 1 channels, DIF needs 2"),
        ("frontend=Naer", r"no part 'Naer'; did you mean 'Near'\?"),
        ("frontend=KNN", r"System\.frontend is KNN\("),
        ("adaptation=MeanShfit", r"System\.adaptation is 'MeanShfit'; give MeanShift\(\), "),
        ("adaptation=ZCA", r"System\.adaptation is ZCA\("),
        ("embedder=EAT", r"EAT needs settings, so give it in a file \(.*weights"),
        ("seed=KNN", r"seed is 'KNN'"),
        ("rule=None", r"System\.rule is None"),
        ("frontend.channels=1", r"Stereo has no setting 'channels'"),
        ("rule.weights=" + "9" * 400, r"KNN\.weights is 999"),
        ("rule.weights=(1e999,)", r"KNN\.weights is \(inf,\)"),
        ("false_alarm_rate=0", r"false_alarm_rate is 0"),
        ("folds=1", r"folds is 1"),
    ],
)
def test_bad_settings_are_one_line(assignment, words):
    with pytest.raises(SettingError, match=words) as caught:
        with_setting(nf.s4(), assignment)
    one_line(caught.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 500, "-" * 10_000 + "1", "[" * 5000, "1" * 5000, r"C:\data\weights", r"'\d'", "1if",
     "\0", "'a\nb'", "0x", "{[]}", "f'{1}'"],
    ids=range(12),
)  # fmt: skip
def test_values_that_trouble_the_parser(text):
    with pytest.raises(SettingError):
        with_setting(nf.s4(), f"seed={text}")
    assert with_setting(Mine(), f"value={text}").value is not None


def test_a_setting_of_a_part_that_is_not_there():
    with pytest.raises(SettingError, match=r"no part '0'; there is none"):
        with_setting(nf.logmel(), "enrichment.0.s_range=(0, 1)")
    with pytest.raises(SettingError, match=r"None has no settings, so no 'shrinkage'"):
        with_setting(nf.logmel(), "whitening.shrinkage=0.1")


paths = st.lists(st.sampled_from([*NAMES, "0", "1", "2", "System", "KNN", "", "x"]), max_size=4)
values = st.one_of(
    anything.map(repr), st.text(max_size=12), st.sampled_from(["None", "()", "0", "1e400", "nan"])
)


@given(st.sampled_from([nf.s4(), nf.logmel(), ENSEMBLE]), paths, values)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_setting_gives_a_system_or_one_line(system, path, value):
    try:
        after = with_setting(system, f"{'.'.join(path)}={value}")
    except SettingError as error:
        one_line(error)
    else:
        assert type(after) is type(system)


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_a_system_or_one_line(text):
    try:
        with_setting(nf.s4(), text)
    except SettingError as error:
        one_line(error)


# ---- a person's own file

OWN = """
from dataclasses import dataclass
import nearfar as nf

@dataclass(frozen=True)
class Own:
    width: int = 3

system = nf.logmel()

def made():
    return nf.s4()

_private = 1
"""


@pytest.fixture
def own(tmp_path):
    known = set(sys.modules)
    path = tmp_path / "own.py"
    path.write_text(OWN)
    yield path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_what_a_file_holds(own):
    assert from_file(f"{own}:system") == nf.logmel()
    assert from_file(f"{own}:made")() == nf.s4()
    cls = from_file(f"{own}:Own")
    assert from_data(to_data(cls(5)), (cls,)) == cls(5)


def test_a_file_runs_once_whatever_it_is_called(own, monkeypatch):
    monkeypatch.chdir(own.parent)
    assert from_file("own.py:Own") is from_file(f"{own}:Own") is from_file("./own.py:Own")
    assert user_module(Path("own.py")) is user_module(own)
    assert [f for f in user_files() if f.startswith(str(own.parent))] == [str(own)]


def test_two_files_of_one_name_are_two_modules(own):
    other = own.parent / "other"
    other.mkdir()
    (other / "own.py").write_text("system = 1")
    assert from_file(f"{other / 'own.py'}:system") == 1
    assert from_file(f"{own}:system") == nf.logmel()
    assert {str(own), str(other / "own.py")} <= set(user_files())


def test_parts_of_a_persons_file_pickle_by_their_module(own):
    """Worker processes get them by name, after running the file, too."""
    cls = from_file(f"{own}:Own")
    assert getattr(sys.modules[cls.__module__], "Own") is cls  # noqa: B009


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{own}:sytem", r"has no 'sytem'; did you mean 'system'\?"),
        ("{own}:", r"has no ''; it has: .*system"),
        ("{folder}/no.py:system", r"no\.py: no such Python file; give file\.py:name"),
        ("{folder}:system", r"no such Python file"),
        ("{folder}/notes.txt:system", r"notes\.txt: no such Python file"),
        ("system", r"no such Python file; give file\.py:name"),
        ("", r"no such Python file"),
    ],
)
def test_files_and_names_that_are_not_there(own, reference, words):
    (own.parent / "notes.txt").write_text("system = 1")
    with pytest.raises(SettingError, match=words) as caught:
        from_file(reference.format(own=own, folder=own.parent))
    one_line(caught.value)
    assert "_private" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("raise ValueError", "ValueError: "),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import nearfar as nf; nf.KNN(())", r"SettingError: KNN\.weights is \(\)"),
        ("\0", "null bytes"),
    ],
)
def test_a_file_that_fails(tmp_path, code, words):
    path = tmp_path / "own.py"
    path.write_text(code)
    for _ in range(2):  # and is not taken for loaded afterwards
        with pytest.raises(SettingError, match=words) as caught:
            from_file(f"{path}:system")
        assert str(path) in one_line(caught.value)
    assert str(path) not in user_files()


def test_ctrl_c_in_a_file_stays_one(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        user_module(path)
    assert str(path) not in user_files()


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "own.py"
    path.write_bytes(b"\xff\xfe\xfa" * 20)
    with pytest.raises(NearfarError) as caught:
        user_module(path)
    one_line(caught.value)
