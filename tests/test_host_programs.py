"""What user data carries is the same program, smaller."""

import ast
import subprocess
import sys

import pytest

from scripts.core.host_programs import compact, sshd_drop_in
from scripts.core.render import text_of


@pytest.mark.parametrize("name", ["accounts.py", "mount-volumes.py", "sshd-hardening.py", "freeze.py"])
def test_a_compact_program_has_the_same_functions_and_classes_and_runs(name, tmp_path):
    def defined(text):
        return [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]

    assert defined(compact(name)) == defined(text_of(name))
    assert len(compact(name)) < 0.75 * len(text_of(name))
    script = tmp_path / "program"
    script.write_text(compact(name))
    loaded = subprocess.run([sys.executable, "-c", f"import runpy; runpy.run_path({str(script)!r})"], check=False)
    assert loaded.returncode == 0


def test_the_drop_in_of_the_launch_is_that_of_the_program():
    path, content = sshd_drop_in()
    assert path == "/etc/ssh/sshd_config.d/00-ec2-lab.conf"
    assert "PasswordAuthentication no\n" in content
