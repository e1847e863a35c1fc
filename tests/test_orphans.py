"""Whose an orphan is decides whether an audit deletes it; what is in use or somebody's is left alone, and named."""

import pytest

from ec2lab.audit.audit import Finding, Verdict
from ec2lab.audit.orphans import delete_orphans, forget, import_orphans, named, of_registry, parse_owner, sorted_out
from ec2lab.errors import UserError
from ec2lab.registry.record import person
from ec2lab.resource import Resource
from tests.small_aws import SETTLING, small_lab

ME = "me@here"


def thing(identity="vol-1", resource_type="volume", experiment="foo", state="available"):
    return Resource(resource_type=resource_type, id=identity, region="us-east-1", experiment=experiment, state=state)


def orphan(
    identity="vol-1", resource_type="volume", experiment="foo", state="available", verdict=Verdict.ORPHAN, **more
):
    return Finding(verdict, thing(identity, resource_type, experiment, state), 1.0, "", **{"by": ME, **more})


def deleted(*found, whose=ME, caller=None):
    """Return the ids of what is deleted, and why the rest is not."""
    goes, stays = sorted_out(found, whose, caller)
    return [one.resource.id for one in goes], {one.resource.id: one.spared for one in stays}


def test_ones_own_orphans_go_and_nothing_else_that_was_found():
    others = [orphan(f"x-{verdict}", verdict=verdict) for verdict in Verdict if verdict is not Verdict.ORPHAN]
    assert deleted(orphan(), *others) == (["vol-1"], {})


def test_somebody_elses_stay_unless_they_or_everyone_are_meant():
    theirs = orphan(by="you@there")
    assert deleted(theirs) == ([], {"vol-1": "made by you@there: OWNER=you@there selects it"})
    assert deleted(theirs, whose="you@there") == deleted(theirs, whose="everyone") == (["vol-1"], {})
    assert deleted(orphan(), whose="you@there")[0] == []


@pytest.mark.parametrize(
    ("caller", "owner", "goes"),
    [("role/me", "role/me", True), ("role/me", "role/you", False), ("", "role/you", False), (None, "role/you", True)],
)
def test_what_cloudtrail_says_that_another_made_stays(caller, owner, goes):
    said = {} if goes else {"vol-1": "made by role/you, according to CloudTrail: ONLY=vol-1 selects it"}
    assert deleted(orphan(owner=owner), caller=caller) == (["vol-1"] if goes else [], said)


@pytest.mark.parametrize("resource_type", ["instance", "volume", "snapshot", "address"])
def test_on_the_word_of_tags_alone_nothing_goes_that_is_dear_to_somebody(resource_type):
    """Who may tag can write a whole set of tags, with this registry's id, on anything."""
    forged = orphan("x-1", resource_type, state="stopped")
    assert deleted(forged, caller="role/me") == (
        [],
        {"x-1": "CloudTrail does not show who created it: ONLY=x-1 selects it"},
    )
    assert deleted(orphan("sg-1", "security-group"), caller="role/me")[0] == ["sg-1"]
    launched = orphan("i-1", "instance", state="stopped", owner="role/me")
    assert deleted(launched, orphan("vol-1", attached=("i-1",)), caller="role/me")[0] == ["i-1", "vol-1"]


@pytest.mark.parametrize(
    ("state", "goes"),
    [("pending", False), ("running", False), ("stopping", False), ("stopped", True)],
)
def test_an_instance_that_somebody_may_be_working_on_stays(state, goes):
    said = {} if goes else {"i-1": "it runs: ONLY=i-1 selects it"}
    assert deleted(orphan("i-1", "instance", state=state)) == (["i-1"] if goes else [], said)


def test_what_an_instance_that_stays_holds_stays_too():
    runs = orphan("i-1", "instance", state="running")
    other = orphan("i-2", "instance", state="stopped")
    held, loose = orphan("vol-1", attached=("i-1",)), orphan("vol-2", attached=("i-2",))
    group, anothers = orphan("sg-1", "security-group"), orphan("sg-2", "security-group", "bar")
    goes, stays = deleted(runs, other, held, loose, group, anothers)
    assert goes == ["i-2", "vol-2", "sg-2"]
    assert (stays["vol-1"], stays["sg-1"]) == ("used by i-1", "used by i-1")


def test_what_was_spared_before_stays_for_that_reason():
    marked = orphan(spared="marked retain at teardown", by="you@there")
    assert deleted(marked) == ([], {"vol-1": "marked retain at teardown"})
    kept = orphan("vol-2", spared="marked retain at teardown")
    assert deleted(kept, orphan("sg-1", "security-group"))[0] == ["sg-1"], "a volume that stays holds nothing"


def test_who_is_meant_is_oneself_or_somebody_or_everyone():
    assert parse_owner("") == person().replace(" ", "_")
    assert (parse_owner("you@there"), parse_owner("everyone")) == ("you@there", "everyone")
    with pytest.raises(UserError, match="OWNER: 'you' is not a user"):
        parse_owner("you")


@pytest.mark.parametrize("verdict", [Verdict.ORPHAN, Verdict.COPY, Verdict.ANOTHERS])
def test_what_is_named_goes_whoever_made_it_in_the_order_of_the_names(verdict):
    found = [orphan("vol-1", verdict=verdict, by="you@there"), orphan("vol-2"), orphan("vol-3")]
    assert [one.resource.id for one in named(found, "vol-2 vol-1 vol-2")] == ["vol-2", "vol-1"]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.NOT_TERMINATED, "an experiment's"),
        (Verdict.STALE_RECORD, "not in AWS"),
        (Verdict.UNMANAGED, "not the lab's"),
        (Verdict.RETENTION_EXPIRED, "a retained volume"),
        (Verdict.RETAINED, "a retained volume"),
    ],
)
def test_what_is_not_an_audits_to_delete_is_refused_by_its_name(verdict, said):
    with pytest.raises(UserError, match=f"ONLY: vol-1 is {said}"):
        named([orphan(verdict=verdict)], "vol-1")


def test_what_was_not_found_and_what_is_attached_is_refused():
    with pytest.raises(UserError, match="ONLY: 'vol-9' is not the id of a finding"):
        named([orphan()], "vol-1 vol-9")
    attached = [orphan(attached=("i-1", "i-0")), orphan("i-1", "instance"), orphan("i-0", "instance")]
    with pytest.raises(UserError, match="ONLY: vol-1 is attached to i-0, i-1; name that too"):
        named(attached, "vol-1")
    with pytest.raises(UserError, match="attached to i-1; name"):
        named(attached, "vol-1 i-0")
    assert len(named(attached, "vol-1 i-1 i-0")) == 3


def test_a_lost_registry_is_named_by_eight_digits_of_its_id_at_least():
    first, second = f"{'a' * 9}1", f"{'a' * 9}2"
    found = [orphan("vol-1", verdict=Verdict.ANOTHERS, registry=first),
             orphan("vol-2", verdict=Verdict.ANOTHERS, registry=first),
             orphan("vol-3", verdict=Verdict.ANOTHERS, registry=second),
             orphan("vol-4", verdict=Verdict.ORPHAN, registry=first),
             orphan("vol-5", verdict=Verdict.ANOTHERS, registry="bbbbbbbb")]  # fmt: skip
    assert [one.resource.id for one in of_registry(found, first)] == ["vol-1", "vol-2"]
    assert [one.resource.id for one in of_registry(found, "b" * 8)] == ["vol-5"]
    for identity, many in (("a" * 9, 2), ("b" * 7, 1), ("c" * 8, 0), ("", 3)):
        with pytest.raises(UserError, match=f"ONLY: '{identity}' is the id of {many} registries here"):
            of_registry(found, identity)


@pytest.fixture
def lab():
    with small_lab() as made:
        yield made


def test_orphans_are_deleted_until_they_are_gone_and_named(lab):
    (instance,) = lab.launch(volumes=1)
    volume = next(iter(lab.aws.there() - {instance}))
    lab.wait(SETTLING + 1)
    records = {one: next(t["Value"] for t in lab.aws.things[one].item["Tags"] if t["Key"] == "lab:request-id")
               for one in (instance, volume)}  # fmt: skip
    lab.registry.all.clear()
    found = [Finding(Verdict.ORPHAN, Resource(resource_type=one.split("-")[0], id=one, region="us-east-1",
        experiment="foo",
                                              record=record), 1.0, "") for one, record in records.items()]  # fmt: skip
    assert sorted(delete_orphans(lab.session, found, lambda _: None)) == sorted([instance, volume])
    assert lab.aws.there() == set()


def test_ghosts_are_struck_out_and_without_any_nothing_is_noted(lab):
    forget(lab.session.recorder, [])
    assert lab.registry.all == []
    forget(lab.session.recorder, [orphan(), orphan("vol-2")])
    assert lab.notes("deleted") == ["vol-1", "vol-2"]


def test_what_is_taken_in_is_each_experiments_and_the_registry_answers_for_its_maker(lab):
    ids = ["a" * 32, "b" * 32]
    found = [orphan("vol-2", experiment="foo", registry=ids[1]), orphan("vol-1", experiment="bar", registry=ids[0]),
             orphan("vol-3", experiment="foo", registry=ids[0]),
             orphan("sg-1", "security-group", None, registry=ids[0])]  # fmt: skip
    import_orphans(lab.session, found)
    assert lab.registry.ids() == ids
    found_live = {name: sorted(r.id for r in lab.session.records.state(name).live) for name in ("foo", "bar")}
    assert found_live == {"foo": ["vol-2", "vol-3"], "bar": ["vol-1"]}
    noted = [record.experiment for record in lab.registry.all if "discovered" in (record.annotation or {})]
    assert noted == [None, "bar", "foo"]
