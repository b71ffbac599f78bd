"""One setting by its name."""

import json
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nearfar as nf
from made_parts import ENSEMBLE, NAMES, Mine, anything, one_line
from nearfar.errors import SettingError
from nearfar.parts.change import with_setting, with_settings
from nearfar.parts.data import from_data, to_data
from nearfar.system.presets import PRESETS, s3_eat, s5


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
        ("s4", "rule=LocalDensity(k=1)", lambda s: s.rule == nf.LocalDensity(1)),
        (
            "s4", "rule=LocalDensity(2, form=difference, metric='cosine')",
            lambda s: s.rule == nf.LocalDensity(2, "difference", "cosine"),
        ),
        # The metric belongs to the rows: a rule that does not say its own keeps it.
        ("s4", "rule=VarMin", lambda s: s.rule == nf.VarMin(metric="euclidean")),
        ("s4", "rule=KNN()", lambda s: s.rule == nf.s4().rule),
        ("s4", "rule=PerDomain", lambda s: s.rule == nf.PerDomain(nf.KNN(metric="euclidean"))),
        ("logmel", "rule=PerDomain()", lambda s: s.rule == nf.PerDomain(nf.KNN())),
        (
            "s4", "rule=PerDomain(LocalDensity)",
            lambda s: s.rule == nf.PerDomain(nf.LocalDensity()),
        ),
        ("logmel", "embedder=Crops(n=2)", lambda s: s.embedder == nf.Crops(nf.LogMel(), n=2)),
        ("logmel", "rule=LocalDensity", lambda s: s.rule == nf.LocalDensity(metric="cosine")),
        ("s4", "rule=KNN((1.0, -0.5))", lambda s: s.rule == nf.KNN((1.0, -0.5), "euclidean")),
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
        ("rule=LocalDensty(k=1)", r"no part 'LocalDensty\(k=1\)'; did you mean 'LocalDensity'\?"),
        ("rule=LocalDensity(n=1)", r"LocalDensity has no setting 'n'; it has: .*form"),
        ("rule=LocalDensity(**x)", r"LocalDensity has no setting '\*\*'"),
        ("rule=LocalDensity(1, ratio, cosine, 4)", r"LocalDensity has no setting '4'"),
        ("rule=LocalDensity(k=0)", r"LocalDensity\.k is 0; it is a whole number from 1 up"),
        ("rule=LocalDensity(k=exit())", r"k has no part 'exit'"),
        ("rule=open('x').read()", r"no part"),
        ("frontend=LocalDensity(k=1)", r"System\.frontend is LocalDensity"),
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


def test_an_encoder_is_wrapped_where_it_stands():
    ear = nf.s3("EAR").members[1].embedder
    for text, wrapped in (
        ("Pooled", nf.Pooled(ear)),
        ("Pooled(pooling=RelativeDeviation(4))", nf.Pooled(ear, nf.RelativeDeviation(4))),
        ("Pooled(YAMNet(there), Mean)", nf.Pooled(nf.YAMNet("there"), nf.Mean())),
        ("Crops(Pooled(), n=3)", nf.Crops(nf.Pooled(ear), n=3)),
    ):
        after = with_setting(nf.s3("EAR"), f"members.1.embedder={text}")
        assert after.members[1].embedder == wrapped
        assert after.members[0] == nf.s3("EAR").members[0]
    with pytest.raises(SettingError, match="has no grid of columns and bands"):
        with_setting(nf.logmel(), "embedder=Pooled")


def test_settings_that_fit_only_together_are_tried_so():
    """In any order; what comes of them is what each says, and what is wrong is one line."""
    rule = "rule=PerBand(LocalDensity(metric=cosine))"
    wanted = ["embedder=Pooled", rule, "whitening=None", "seed=3"]
    ear = s3_eat("EAR")
    expected = replace(
        ear, embedder=nf.Pooled(ear.embedder), whitening=None, seed=3,
        rule=nf.PerBand(nf.LocalDensity(metric="cosine")),
    )  # fmt: skip
    for order in permutations(wanted):
        assert with_settings(ear, order) == expected
        inside = [f"members.1.{one}" for one in order]
        assert with_settings(nf.s3("EAR"), ["members.0.seed=9", *inside]).members[1] == expected
    both = ["frontend=Stereo", "embedder=FarSubtracted(amount=1)", "embedder.amount=0.25"]
    assert with_settings(ear, both).embedder == nf.FarSubtracted(ear.embedder, 0.25)
    for bad, words in (
        (["frontend=Near"], r"Near\(\) gives 1 channels, DIF needs 2"),
        (["frontend=Near", "folds=1"], r"Near\(\) gives 1 channels, DIF needs 2"),
        (["frontend=Near", "x=1"], "System has no setting 'x'"),
        (["enrichment.0=Near", "enrichment.1=Near"], r"System\.enrichment has Near\(\)"),
        (["frontend=Near", "no"], r"'no' is not part\.setting=value"),
        (["frontend=Near", "embedder=LogMel()"], "needs an embedder with residuals"),
    ):
        with pytest.raises(SettingError, match=words) as caught:
            with_settings(nf.s4(), bad)
        one_line(caught.value)


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


def test_a_setting_of_another_part_is_named_with_its_path():
    system = s5("a folder")
    wrong = "members.0.rule.power=4"
    with pytest.raises(SettingError, match=r"PerBand has no setting 'power'") as refusal:
        with_setting(system, wrong)
    assert str(refusal.value).endswith(". There is members.0.embedder.pooling.power")
    path = str(refusal.value).rpartition(" ")[2]
    assert with_setting(system, f"{path}=4").members[0].embedder.pooling.power == 4


def test_of_several_places_of_a_setting_the_nearest_come_first_and_three_are_named():
    with pytest.raises(SettingError) as refusal:
        with_setting(s5("a folder"), "members.2.embedder.metric=cosine")
    there = str(refusal.value).partition("There is ")[2].split(" or ")
    assert there[0] == "members.2.rule.metric"
    assert len(there) == 3
