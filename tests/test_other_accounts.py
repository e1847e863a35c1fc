"""What lives in another account is named with the way that leads there."""

import pytest

from ec2lab.aws.account import Account
from ec2lab.registry.other_accounts import Elsewhere
from ec2lab.registry.state import ResourceState
from ec2lab.resource import Resource

AWS, OTHER, LOCAL = Account("aws", "111122223333"), Account("aws", "444455556666"), Account("local", "1")
OTHER_LOCAL = Account("local", "2")
END = "where nothing of it is left, `make teardown EXP=foo YES=1` removes it from the registry"


def elsewhere(account, *names):
    live = [Resource(resource_type="instance", id=name, region="us-east-1", experiment=name) for name in names]
    return Elsewhere(account, ResourceState(live=live))


def test_a_local_cloud_is_none_of_awss_accounts():
    assert (AWS.is_local, LOCAL.is_local) == (False, True)
    assert (str(AWS), str(LOCAL)) == ("account 111122223333", "local cloud 1")


@pytest.mark.parametrize(("account", "over"), [(None, True), (LOCAL, True), (AWS, False)])
def test_only_what_nobody_can_ask_any_more_may_be_over(account, over):
    assert elsewhere(account, "foo").may_be_over is over


@pytest.mark.parametrize(
    ("there", "used", "told"),
    [
        (None, AWS, f"an account that the records do not name, you are using {AWS}; {END}"),
        (OTHER, AWS, f"account 444455556666, you are using {AWS}; the profile of that account leads there"),
        (AWS, LOCAL, f'{AWS}, you are using {LOCAL}; cloud = "aws" and the profile of that account leads there'),
        (LOCAL, AWS, f'{LOCAL}, you are using {AWS}; cloud = "local" in lab.toml leads there; {END}'),
        (OTHER_LOCAL, LOCAL, f"local cloud 2, you are using {LOCAL}; that is another directory's; {END}"),
    ],
)
def test_it_says_what_lives_where_and_how_one_gets_there(there, used, told):
    assert elsewhere(there, "foo").message(used) == f"foo is live in {told}"


def test_several_are_named_in_order():
    assert elsewhere(AWS, "foo", "bar").message(OTHER).startswith("bar, foo are live in account 111122223333")
    assert "make teardown EXP=bar YES=1" in elsewhere(LOCAL, "foo", "bar").message(AWS), "the first of them"
    assert elsewhere(AWS, "foo", "bar").names == ["bar", "foo"]
