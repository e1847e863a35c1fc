"""`make new` writes a file to start from."""

import re
import tomllib

from ec2lab.config.models import Experiment
from ec2lab.config.volume import Data, InstanceStore, Scratch
from tests.lab_directory import REPOSITORY


def test_it_writes_an_experiment_that_launches_as_it_stands(lab):
    ended = lab.run("new", EXP="foo")
    assert ended.code == 0
    assert "experiments/foo.toml" in ended.out
    assert lab.launch("foo").code == 0


def test_every_key_that_it_comments_out_is_one_that_an_experiment_takes(lab):
    lab.run("new", EXP="foo")
    text = (lab.path / "experiments" / "foo.toml").read_text()
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith(("# [[", "# ")) and (" = " in line or "[[" in line)
    ]
    keys = {line.partition(" = ")[0] for line in lines if " = " in line}
    sections = set(re.findall(r"^# \[+([a-z_]+)\]+$", text, re.MULTILINE))
    assert set(Experiment.model_fields) <= keys | sections | set(tomllib.loads(text))


def test_every_key_of_a_volume_is_explained():
    text = (REPOSITORY / "templates" / "experiment.toml.j2").read_text()
    sections = re.split(r"^# \[+([a-z_]+)\]+$", text, flags=re.MULTILINE)
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    for section, model in {"data": Data, "scratch": Scratch, "instance_store": InstanceStore}.items():
        keys = re.findall(r"^# ([a-z_]+(?:, [a-z_]+)*)(?: = |: as above)", told[section], re.MULTILINE)
        assert set(model.model_fields) <= set(", ".join(keys).split(", ")), section


def test_it_overwrites_nothing(lab):
    before = (lab.path / "experiments" / "demo.toml").read_text()
    ended = lab.run("new", EXP="demo")
    assert ended.code == 1
    assert ended.error.startswith("error: experiments/demo.toml: already exists")
    assert (lab.path / "experiments" / "demo.toml").read_text() == before
