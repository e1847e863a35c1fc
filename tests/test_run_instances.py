"""When one pool's answer stays unclear to the last try, nobody else is asked."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ec2lab.aws.token_bucket import TokenBucket
from ec2lab.errors import UserError
from ec2lab.launch import run_instances as asking
from tests.test_token_bucket import Clock

TOO_FAST = ClientError(
    {"Error": {"Code": "RequestLimitExceeded"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "RunInstances"
)
LOST = ReadTimeoutError(endpoint_url="https://ec2.us-east-1.amazonaws.com")


class Ec2:
    """Answers as it is told, the last answer for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.tokens = set()

    def run_instances(self, ClientToken):  # noqa: N803 - boto3's own name
        self.tokens.add(ClientToken)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bucket():
    clock = Clock()
    return TokenBucket(clock.pause, clock)


def test_too_fast_to_the_last_made_nothing_so_the_next_pool_may_be_asked(bucket):
    with pytest.raises(asking.RequestRejected):
        asking.ask(Ec2(TOO_FAST), {}, "t", bucket)


def test_a_token_whose_instance_is_dead_is_replaced_and_one_of_ours_for_another_request_is_not(bucket):
    dead, ours = (
        ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "RunInstances")
        for code in ("IdempotentInstanceTerminated", "IdempotentParameterMismatch")
    )
    ec2 = Ec2(dead, {"Instances": [{"InstanceId": "i-1"}]})
    assert asking.ask(ec2, {}, "t", bucket) == [{"InstanceId": "i-1"}]
    assert len(ec2.tokens) == 2
    with pytest.raises(asking.RequestRejected, match="IdempotentParameterMismatch"):
        asking.ask(Ec2(ours), {}, "t", bucket)


def test_a_server_that_does_not_know_the_operation_has_not_begun_it(bucket):
    unknown = ClientError({"Error": {"Code": "501"}, "ResponseMetadata": {"HTTPStatusCode": 501}}, "RunInstances")
    with pytest.raises(asking.RequestRejected):
        asking.ask(Ec2(unknown), {}, "t", bucket)


def test_one_lost_answer_before_being_too_fast_may_have_made_an_instance_so_the_launch_ends(bucket):
    ec2 = Ec2(LOST, TOO_FAST)
    with pytest.raises(UserError, match="no clear response after"):
        asking.ask(ec2, {}, "t", bucket)
    assert ec2.tokens == {"t"}


class Looks:
    """Shows instances as they are, at each look later."""

    def __init__(self, *states):
        self.states = list(states)

    def describe(self, ids):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return [{"InstanceId": identity, "State": {"Name": state}} for identity in ids]


def test_what_shuts_down_for_longer_than_anybody_waits_is_left_to_it_and_ends_nothing(monkeypatch):
    now = [0.0]

    def wait(seconds):
        now[0] += seconds

    monkeypatch.setattr(asking.clock, "monotonic", lambda: now[0])
    assert asking.wait_until_gone(Looks("running", "shutting-down", "terminated"), ["i-1"], wait) == set()
    assert asking.wait_until_gone(Looks("shutting-down"), ["i-1", "i-2"], wait) == {"i-1", "i-2"}
    assert now[0] >= asking.PATIENCE
