"""What an audit finds, and what is the lab's own, by what proves it: one thing at a time, with one tag turned."""

from datetime import date

import pytest

from ec2lab.account.uninstall import belongings
from ec2lab.audit.audit import Verdict, findings, is_over, monthly
from ec2lab.audit.inventory import Item, Survey
from ec2lab.aws.tags import to_aws
from ec2lab.events.account import AUDIT_PLURALS
from ec2lab.registry.evidence import Call
from ec2lab.registry.ownership import Ownership
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import ResourceState
from ec2lab.resource import Resource
from ec2lab.resources.instance import Instance
from ec2lab.resources.security_group import SecurityGroup
from ec2lab.resources.snapshot import Snapshot
from ec2lab.resources.volume import Volume

OURS, THEIRS = "a" * 32, "b" * 32
KINDS = {resource_type.name: resource_type for resource_type in (Instance(), Volume(), Snapshot(), SecurityGroup())}
IDS = {"instance": "InstanceId", "volume": "VolumeId", "snapshot": "SnapshotId", "security-group": "GroupId"}
MARKS = {"lab:request-id": "t", "lab:registry": OURS, "lab:created-by": "me@here"}
TODAY = date(2026, 11, 20)


def item(
    resource_type="volume", identity="x-1", *, state="available", tags=None, idle="", costs=1.0, attached=(), **more
):
    """Return a thing in the account; its tags are those that the lab writes, and foo's, unless others are given."""
    named = {**MARKS, "lab:experiment": "foo", **more} if tags is None else tags
    found = {
        IDS[resource_type]: identity,
        "Tags": to_aws(named),
        "Attachments": [{"InstanceId": one} for one in attached],
    }
    resource = Resource(resource_type=resource_type, id=identity, region="us-east-1",
        experiment=named.get("lab:experiment"),
                        record=named.get("lab:request-id"), state=state)  # fmt: skip
    return Item(resource, named, KINDS[resource_type], found, idle, costs)


def known(*made, operation="CreateVolume", live=(), unresolved=()):
    """Return what the registry says: that one call made some things, of which some live."""
    call = Call("t", operation, {}, ["2026-11-10T12:00:00Z"], answered=True, made=set(made))
    return ResourceState(live=list(live), calls={"t": call}, unresolved=list(unresolved))


def found(*items, after=None, before=None, young=(), regions=("us-east-1",)):
    """Return (verdict, id) of what is found."""
    after = after or ResourceState()
    survey = Survey(list(items), list(regions))
    return [
        (one.verdict, one.resource.id)
        for one in findings(survey, before or after, after, {OURS}, lambda moment: moment in young, TODAY)
    ]


def test_what_carries_our_tags_and_a_call_that_nobody_knows_is_an_orphan():
    assert found(item()) == [(Verdict.ORPHAN, "x-1")]
    assert found(item(**{"lab:registry": THEIRS})) == [(Verdict.ANOTHERS, "x-1")]


def test_what_lives_by_the_registry_is_fine_and_what_has_ended_by_it_is_unfinished():
    after = known(("volume", "x-1"), live=[item().resource])
    assert found(item(), after=after) == []
    ended = known(("volume", "x-1"))
    assert found(item(), after=ended) == [(Verdict.NOT_TERMINATED, "x-1")]
    assert found(item(), after=ended, before=after) == [], "it was torn down meanwhile"
    assert found(item(), after=after, before=ended) == [], "it was launched meanwhile"
    assert found(item(identity="x-2"), after=after) == [(Verdict.COPY, "x-2"), (Verdict.STALE_RECORD, "x-1")]


@pytest.mark.parametrize(("young", "verdicts"), [(("now",), []), ((), [(Verdict.NOT_TERMINATED, "x-1")])])
def test_what_a_young_open_call_made_is_no_finding(young, verdicts):
    intent = Record(event=Event.INTENT, operation="CreateVolume", request={"ClientToken": "t"}, time="now")
    after = known(("volume", "x-1"), unresolved=[intent])
    assert found(item(), after=after, young=young) == verdicts


def test_what_the_registry_says_lives_and_aws_does_not_show_is_a_ghost_where_it_was_looked_for():
    lost = Resource(resource_type="volume", id="x-1", region="us-east-1", experiment="foo", recorded="then")
    holds = known(("volume", "x-1"), live=[lost])
    ghost = [(Verdict.STALE_RECORD, "x-1")]
    assert found(after=holds) == ghost
    assert found(after=holds, before=ResourceState()) == [], "it was launched meanwhile"
    assert found(after=holds, regions=()) == []
    assert found(after=holds, young=("then",)) == []
    assert found(item(tags=MARKS), after=holds) == [(Verdict.NOT_TERMINATED, "x-1")]
    assert found(item(state="deleted"), after=holds) == ghost


@pytest.mark.parametrize("state", ["terminated", "shutting-down", "deleting", "deleted", "error"])
def test_what_costs_no_more_is_no_finding(state):
    assert is_over(item(state=state))
    assert found(item(state=state)) == []
    assert not is_over(item(state="available"))


def test_what_is_the_whole_labs_is_no_finding_and_nothing_of_an_experiments_hides_behind_that():
    assert found(item("security-group", **{"lab:shared": "lab"})) == []
    assert found(item("snapshot", **{"lab:dataset": "speech"})) == []
    assert found(item("security-group", **{"lab:dataset": "speech"})) == [(Verdict.ORPHAN, "x-1")]
    for resource_type in ("instance", "volume"):
        assert found(item(resource_type, **{"lab:shared": "lab"})) == [(Verdict.ORPHAN, "x-1")]


def test_a_strangers_is_found_where_it_is_idle_or_carries_some_of_our_tags():
    assert found(item(tags={})) == []
    assert found(item(tags={}, idle="attached to nothing")) == [(Verdict.UNMANAGED, "x-1")]
    survey = Survey([item(tags={"lab:created-by": "me@here"}, idle="idle")], ["us-east-1"])
    (one,) = findings(survey, ResourceState(), ResourceState(), {OURS}, bool, TODAY)
    assert (one.verdict, one.why, one.by) == (
        Verdict.UNMANAGED, "idle, carries some of the lab's tags, and not all", "me@here",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("until", "verdict"), [("2026-11-20", Verdict.RETAINED), ("2026-11-19", Verdict.RETENTION_EXPIRED)]
)
def test_a_kept_volume_is_told_of_and_complained_of_after_its_day(until, verdict):
    kept = {"lab:retained": "2026-11-01 after foo", "lab:retain-until": until}
    assert found(item(**kept)) == [(verdict, "x-1")]


def test_what_is_marked_at_teardown_and_what_is_attached_is_told():
    survey = Survey([item(attached=("i-1", "i-2"), **{"lab:deletion-policy": "retain"})], ["us-east-1"])
    (one,) = findings(survey, ResourceState(), ResourceState(), {OURS}, bool, TODAY)
    assert (one.spared, one.attached, one.by, one.registry) == (
        "marked retain at teardown", ("i-1", "i-2"), "me@here", OURS,
    )  # fmt: skip


def test_a_finding_says_whose_it_is_and_a_ghost_costs_nothing():
    lost = Resource(resource_type="volume", id="x-9", region="us-east-1", experiment="foo")
    things = [item(), item(tags=MARKS), item(**{"lab:registry": f"{THEIRS[:7]}0{THEIRS[8:]}"})]
    holds = ResourceState(live=[lost])
    told = findings(Survey(things, ["us-east-1"]), holds, holds, {OURS}, lambda _: False, TODAY)
    assert [(one.why, one.monthly) for one in told] == [
        ("of foo", 1.0),
        ("of the lab", 1.0),
        ("in the registry, and not in AWS", 0.0),
        ("of foo, of the registry bbbbbbb0…", 1.0),
    ]


def test_the_worst_comes_first_then_the_dearest_and_its_costs_add_up():
    things = [item(identity="x-1", costs=1.0), item(identity="x-2", costs=None), item(identity="x-3", costs=4.5),
              item(identity="x-5", costs=0.5),
              item(identity="x-4", costs=9.0, **{"lab:registry": THEIRS})]  # fmt: skip
    assert [identity for _, identity in found(*things)] == ["x-3", "x-1", "x-5", "x-2", "x-4"]
    survey = Survey(things, ["us-east-1"])
    assert monthly(findings(survey, ResourceState(), ResourceState(), {OURS}, bool, TODAY)) == (15.0, 1)
    assert monthly([]) == (0.0, 0)


def pile_of(one, after=None):
    """Return where a thing is sorted to."""
    sorted_out = belongings([one], "lab", Ownership(after or ResourceState(), {OURS}))
    piles = ("own", "data", "running", "others", "copies")
    return next((name for name in piles if getattr(sorted_out, name)), None)


@pytest.mark.parametrize(
    ("resource_type", "tags", "pile"),
    [
        ("volume", {**MARKS, "lab:experiment": "foo"}, "running"),
        ("volume", {**MARKS, "lab:experiment": "foo", "lab:registry": THEIRS}, "running"),
        ("instance", MARKS, "running"),
        ("security-group", MARKS, "own"),
        ("security-group", {**MARKS, "lab:shared": "lab"}, "own"),
        ("security-group", {**MARKS, "lab:shared": "other"}, "others"),
        ("security-group", {**MARKS, "lab:registry": THEIRS}, "others"),
        ("snapshot", {**MARKS, "lab:dataset": "speech"}, "data"),
        ("snapshot", {**MARKS, "lab:dataset": "speech", "lab:registry": THEIRS}, "others"),
        ("snapshot", {"lab:dataset": "speech"}, "others"),
        ("volume", {"lab:dataset": "speech"}, None),
        ("snapshot", {}, None),
        ("volume", {**MARKS, "lab:retained": "2026-11-01", "lab:experiment": "foo"}, "data"),
        ("volume", {**MARKS, "lab:retained": "2026-11-01"}, "data"),
    ],
)
def test_what_carries_the_labs_tags_is_sorted_by_whose_it_is(resource_type, tags, pile):
    assert pile_of(item(resource_type, tags=tags)) == pile
    assert pile_of(item(resource_type, tags=tags, state="deleted")) is None


def test_what_only_has_the_tags_of_what_a_known_call_made_is_a_copy():
    after = known(("snapshot", "x-1"), operation="CreateSnapshot")
    dataset = {**MARKS, "lab:dataset": "speech"}
    assert pile_of(item("snapshot", tags=dataset), after) == "data"
    assert pile_of(item("snapshot", "x-2", tags=dataset), after) == "copies"
    assert pile_of(item("snapshot", "x-2", tags={**dataset, "lab:request-id": "unknown"}), after) == "data"


def test_the_plurals_of_the_summary_are_those_of_verdicts():
    assert AUDIT_PLURALS.keys() <= set(Verdict)
