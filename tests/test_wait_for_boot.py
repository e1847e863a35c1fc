"""What cloud-init says of itself is understood, whichever version says it."""

import pytest

from ec2lab.errors import UserError
from ec2lab.launch.wait_for_boot import errors_in


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        ('{"status": "done", "errors": [], "extended_status": "done"}', []),
        ('{"status": "done", "errors": [], "recoverable_errors": {"WARNING": ["x"]}}\nstatus: done\n', []),
        (
            '{"status": "error", "errors": ["Runparts: 1 failures (runcmd)"]}\nstatus: error\n',
            ["Runparts: 1 failures (runcmd)"],
        ),
        ('{"status": "error"}', ["status error"]),
        ("status: done\ntime: Thu, 01 Jan 1970\ndetail:\nDataSourceEc2Local\n", []),
        (
            "\nstatus: error\ntime: x\ndetail:\n('scripts-user', RuntimeError('1 failures'))\n",
            ["('scripts-user', RuntimeError('1 failures'))"],
        ),
    ],
)
def test_errors_are_told_and_nothing_else_counts_as_one(said, errors):
    assert errors_in(said, "speech") == errors


@pytest.mark.parametrize("said", ["", "sh: 1: cloud-init: not found\n", "Welcome to speech\n", "{a banner}\n"])
def test_where_it_says_nothing_of_its_status_that_is_no_failure_of_the_set_up(said):
    with pytest.raises(UserError, match=r"speech: cloud-init (reports no )?status"):
        errors_in(said, "speech")
