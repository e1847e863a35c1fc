"""Programs as they are sent, with other constants: a test has no two minutes."""

import re
from functools import cache

from ec2lab.hosts.program_packer import compact, program


@cache
def sent_with(name, **constants):
    """A program of templates/ as it is sent; its constants go by short names there."""
    text = program(name)
    for constant, value in constants.items():
        text, changed = re.subn(rf"(?m)^{constant} = .*$", f"{constant} = {value}", text)
        assert changed == 1, constant
    return compact(text)
