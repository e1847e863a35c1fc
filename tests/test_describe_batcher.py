"""Many who look at instances at the same time make few calls, and each hears of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2lab.aws.describe_batcher import DescribeBatcher


class Ec2:
    """Answers once it is let, and counts."""

    def __init__(self):
        self.asked = []
        self.may_answer = threading.Event()
        self.begun = threading.Event()
        self.problem = None

    def get_paginator(self, _):
        return self

    def paginate(self, Filters):  # noqa: N803 - boto3's own name
        self.asked.append(Filters[0]["Values"])
        self.begun.set()
        assert self.may_answer.wait(10)
        if self.problem:
            raise self.problem
        instances = [{"InstanceId": identity} for identity in Filters[0]["Values"] if identity != "i-unknown"]
        return [{"Reservations": [{"Instances": instances}]}]


def looking(batcher, ids, others):
    """Look for the first while AWS takes its time, and for the others meanwhile; return what each found."""
    ec2 = batcher._ec2  # noqa: SLF001 - our own
    with ThreadPoolExecutor(len(others) + 1) as team:
        first = team.submit(batcher.describe, ids)
        assert ec2.begun.wait(10)
        rest = [team.submit(batcher.describe, some) for some in others]
        while len(batcher._next.ids) < sum(map(len, others)):  # noqa: SLF001
            pass
        ec2.may_answer.set()
        return [future.exception() or future.result() for future in (first, *rest)]


def test_all_who_come_while_one_call_is_on_its_way_share_the_next():
    ec2 = Ec2()
    found = looking(DescribeBatcher(ec2), ["i-0"], [[f"i-{number}"] for number in range(1, 31)])
    assert [instances[0]["InstanceId"] for instances in found] == [f"i-{number}" for number in range(31)]
    assert len(ec2.asked) == 2


def test_what_aws_does_not_show_yet_is_left_out_and_spoils_nobody_elses_look():
    ec2 = Ec2()
    assert looking(DescribeBatcher(ec2), ["i-unknown"], [["i-1"]]) == [[], [{"InstanceId": "i-1"}]]


def test_a_failed_call_is_heard_of_by_all_who_shared_it_and_the_next_is_a_new_one():
    ec2 = Ec2()
    ec2.problem = ConnectionError("gone")
    batcher = DescribeBatcher(ec2)
    assert {type(problem) for problem in looking(batcher, ["i-0"], [["i-1"], ["i-2"]])} == {ConnectionError}
    ec2.problem = None
    assert batcher.describe(["i-3"]) == [{"InstanceId": "i-3"}]


def test_more_than_a_filter_takes_are_asked_for_in_several_calls():
    ec2 = Ec2()
    ec2.may_answer.set()
    assert len(DescribeBatcher(ec2).describe([f"i-{number}" for number in range(450)])) == 450
    assert [len(values) for values in ec2.asked] == [200, 200, 50]


@pytest.mark.parametrize("ids", [[], ["i-1"]])
def test_alone_it_asks_at_once(ids):
    ec2 = Ec2()
    ec2.may_answer.set()
    DescribeBatcher(ec2).describe(ids)
    assert len(ec2.asked) == len(ids)
