"""A sweep: one instance for each combination, gone on with after anything, ended by one command."""

import signal
from contextlib import closing

import pytest

from ec2lab.config.lab_files import load_lab, written_experiment
from ec2lab.config.parameters import variations
from ec2lab.launch.run_spec import RunSpec
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.session import Session
from ec2lab.sweeps.sweep import Sweep
from tests.live_resources import DEAD, living_in
from tests.terminal_screen import run_on_terminal
from tests.waiting import in_quick_motion, wait_until

SPEECH = """
instance_types = ["g5.xlarge"]
command = "echo $lr $seed"
[matrix]
lr = [0.1, 0.01]
seed = [1, 2, 3]
"""
ALL = {f"speech-lr{lr}-seed{seed}" for lr in ("0_1", "0_01") for seed in (1, 2, 3)}


@pytest.fixture
def lab(lab):
    lab.write("experiments/speech.toml", SPEECH)
    return lab


def sweep(lab, **variables):
    return lab.run("sweep", EXP="speech", JSON="1", **variables)


def running(cloud):
    """Return how many instances each experiment has."""
    found = [instance for region in ("us-east-1", "us-west-2") for instance in living_in(cloud, region, "instance")]
    names = [next(tag["Value"] for tag in m["Tags"] if tag["Key"] == "lab:experiment") for m in found]
    assert len(set(names)) == len(names), "none is listed twice"
    return set(names)


def states(ended):
    """What became of each trial that was to be launched."""
    return {name: event["state"] for name, event in trials(ended).items() if event["state"] != "was launched before"}


def trials(ended):
    return {event["experiment"]: event for event in ended.events if event["event"] == "trial-finished"}


def note_exit_codes(lab, codes):
    """Put on record how the commands of trials ended."""
    registry = FileRegistry(lab.registry)
    last = list(registry.records())[-1]
    for name, code in codes.items():
        note = {"exited": {"exit_code": code}}
        registry.append(
            Record(
                event=Event.ANNOTATION, time=last.time, actor=last.actor, experiment=name, annotation=note,
                **lab.account,
            )
        )  # fmt: skip


def test_each_combination_gets_an_instance_that_knows_its_parameters(lab, cloud):
    ended = sweep(lab)
    assert ended.code == 0, ended.err
    assert states(ended) == dict.fromkeys(ALL, "runs")
    assert running(cloud) == ALL
    runs = {r["experiment"]: r["annotation"]["run"] for r in lab.records() if "run" in (r.get("annotation") or {})}
    assert runs["speech-lr0_01-seed3"]["experiment"]["parameters"] == {"lr": 0.01, "seed": 3}
    assert {run["from"] for run in runs.values()} == {"speech"}
    assert len(cloud.calls("CreateSecurityGroup")) == 1, "what a region lacks is made once"
    planned = lab.run("plan", EXP="speech-lr0_01-seed3", VERBOSE="1")
    assert "export lr=0.01\\nexport seed=3\\necho $lr $seed" in planned.out


def test_of_nodes_each_combination_gets_all_its_own(lab, cloud):
    lab.write("experiments/speech.toml", 'instance_types = ["g5.xlarge"]\nnodes = 2\nmatrix.seed = [1, 2]\n')
    ended = sweep(lab)
    assert ended.code == 0, ended.err
    assert states(ended) == {"speech-seed1": "runs", "speech-seed2": "runs"}
    told = [r["annotation"]["launched"] for r in lab.records() if "launched" in (r.get("annotation") or {})]
    assert [len(instances) for instances in told] == [2, 2]
    assert lab.teardown("speech-*", YES="1").code == 0
    assert running(cloud) == set()


def test_a_second_sweep_has_nothing_to_do_and_a_larger_matrix_only_the_rest(lab, cloud):
    assert sweep(lab).code == 0
    again = sweep(lab)
    assert again.code == 0
    assert states(again) == {}
    assert again.events[0]["launched_before"] == 6
    lab.write("experiments/speech.toml", SPEECH.replace("[1, 2, 3]", "[1, 2, 3, 4]"))
    more = sweep(lab)
    assert set(states(more)) == {"speech-lr0_1-seed4", "speech-lr0_01-seed4"}
    assert len(running(cloud)) == 8


def test_what_was_launched_and_taken_down_is_launched_again_only_where_that_is_wanted(lab, cloud):
    assert sweep(lab).code == 0
    note_exit_codes(lab, {"speech-lr0_1-seed1": 0, "speech-lr0_1-seed2": 3})
    gone = {"speech-lr0_1-seed1", "speech-lr0_1-seed2"}
    for name in gone:
        assert lab.teardown(name).code == 0
    idle = run_on_terminal(lab, "sweep", EXP="speech").lines
    assert "  speech-lr0_1-seed2  was launched before; its command exited with status 3" in idle
    assert running(cloud) == ALL - gone
    shown = run_on_terminal(lab, "sweep", EXP="speech", AGAIN="1").lines
    for name in ALL:
        (line,) = [line for line in shown if line.startswith(f"  {name} ")] or [shown]
        assert isinstance(line, str), line
        assert "g5.xlarge in us-east-1" in line if name in gone else line.endswith("runs already")
    assert "speech: 2 run, 4 ran already, after" in "\n".join(shown)
    assert running(cloud) == ALL
    rounds = [r["experiment"] for r in lab.records() if "launched" in (r.get("annotation") or {})]
    assert rounds.count("speech-lr0_1-seed1") == 2, "the history has both"
    costs = lab.run("cost", GROUP_BY="experiment", JSON="1").events
    resources = {event["name"]: event["resources"] for event in costs if event["event"] == "cost-group"}
    assert resources["speech-lr0_1-seed1"] == 2 * resources["speech-lr0_1-seed3"], "and so have the costs"


def test_a_trial_that_is_refused_when_it_is_retried_is_launched_by_the_next_sweep(lab, cloud):
    assert sweep(lab, PARAMS="lr=0.1 seed=1").code == 0
    note_exit_codes(lab, {"speech-lr0_1-seed1": 1})
    assert lab.teardown("speech-lr0_1-seed1").code == 0
    cloud.scenario(capacity=[{"available": 0}])
    refused = sweep(lab, PARAMS="lr=0.1 seed=1", RETRY_FAILED="1")
    assert states(refused) == {"speech-lr0_1-seed1": "failed"}
    lab.write("experiments/speech.toml", f"budget = 0.001\n{SPEECH}")
    assert "budget" in sweep(lab, PARAMS="lr=0.1 seed=1").error, "not even asked for"
    lab.write("experiments/speech.toml", SPEECH)
    cloud.scenario()
    assert states(sweep(lab, PARAMS="lr=0.1 seed=1")) == {"speech-lr0_1-seed1": "runs"}


def test_those_that_failed_are_launched_by_the_next_sweep(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "available": 4}, {"available": 0}])
    short = sweep(lab)
    assert short.code == 1
    assert "speech: 2 of 6 failed, the first: speech-lr" in short.error
    assert len(running(cloud)) == 4
    cloud.scenario()
    rest = sweep(lab)
    assert rest.code == 0, rest.err
    assert len(states(rest)) == 2
    assert running(cloud) == ALL


def instances(cloud):
    """The experiments of all instances, those too that are too new to be described."""
    found = [one for one in cloud.inventory() if one["kind"] == "instance"]
    return [one["tags"]["lab:experiment"] for one in found if one["state"] not in DEAD]


def wait_for_instances(cloud, count):
    wait_until(lambda: len(instances(cloud)) >= count)


@pytest.mark.parametrize("ends", [[signal.SIGINT], [signal.SIGHUP, signal.SIGHUP], [signal.SIGKILL]])
def test_one_that_is_ended_in_the_midst_is_gone_on_with_and_makes_nothing_twice(lab, cloud, ends):
    cloud.scenario(
        pending=0.3, latency=0.02, buckets={"RunInstances": {"size": 2, "refill": 4}}, invisible={"instance": [0, 1.5]}
    )
    process = lab.start("sweep", EXP="speech")
    wait_for_instances(cloud, 3)
    for end in ends:
        process.send_signal(end)
    with in_quick_motion(cloud, 1000):  # one that was sent meanwhile is waited for
        out, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if signal.SIGKILL in ends else 130), err
    if signal.SIGKILL not in ends:
        assert "running instances keep running; `make sweep EXP=speech` launches the rest" in out
        assert err.splitlines()[-1] == "error: interrupted"
    # The clock is left alone: a request that is still on its way is no older than its intent says.
    cloud.scenario()
    rest = sweep(lab)
    assert rest.code == 0, rest.err
    assert sorted(instances(cloud)) == sorted(ALL)


def test_all_are_ended_by_one_command_that_shows_them_first(lab, cloud):
    assert sweep(lab).code == 0
    assert lab.launch().code == 0
    shown = lab.teardown("speech-*")
    assert (shown.code, shown.err) == (0, "")
    assert {event["experiment"] for event in shown.events} == ALL
    ended = lab.teardown("speech-*", YES="1")
    assert ended.code == 0, ended.err
    assert running(cloud) == {"demo"}
    nothing = lab.teardown("speech-*", YES="1")
    assert nothing.code == 0
    assert nothing.events[-1]["event"] == "no-match"


def test_a_lost_sweep_is_ended_too(lab, cloud):
    cloud.scenario(pending=1)
    process = lab.start("sweep", EXP="speech")
    wait_for_instances(cloud, 2)
    process.kill()
    process.communicate()
    assert lab.teardown("speech-?r*", YES="1").code == 0
    assert running(cloud) == set()


def test_a_single_variation_is_launched_under_a_name_of_its_own(lab, cloud):
    ended = lab.launch("speech-a", BASE="speech", PARAMS="lr=7 seed=9")
    assert ended.code == 0, ended.err
    assert running(cloud) == {"speech-a"}
    planned = lab.run("plan", EXP="speech-a", VERBOSE="1")
    assert "export lr=7\\nexport seed=9" in planned.out
    assert lab.teardown("speech-a").code == 0
    again = lab.launch("speech-a")
    assert again.code == 0, "what it is was recorded"
    assert "export lr=7\\nexport seed=9" in lab.run("plan", EXP="speech-a", VERBOSE="1").out


def test_a_parameter_can_be_held_still(lab, cloud):
    assert sweep(lab, PARAMS="seed=2").code == 0
    assert running(cloud) == {"speech-lr0_1-seed2", "speech-lr0_01-seed2"}
    planned = lab.run("plan", EXP="speech", PARAMS="seed=2").out
    assert "speech has a matrix: this is the first of its trials; `make sweep EXP=speech` launches all 2" in planned


def test_those_whose_command_ended_badly_are_launched_again_when_that_is_wanted(lab, cloud):
    assert sweep(lab).code == 0
    note_exit_codes(lab, {"speech-lr0_1-seed1": 0, "speech-lr0_1-seed2": 1, "speech-lr0_01-seed3": 9})
    kept = sweep(lab, RETRY_FAILED="1")
    assert states(kept) == {"speech-lr0_1-seed2": "failed", "speech-lr0_01-seed3": "failed"}
    assert "is already live" in kept.error
    assert "`make teardown EXP=speech-lr0_1-seed2` deletes it" in kept.error
    assert lab.teardown("speech-*", YES="1").code == 0
    again = sweep(lab, RETRY_FAILED="1")
    assert again.code == 0, again.err
    assert states(again) == {"speech-lr0_1-seed2": "runs", "speech-lr0_01-seed3": "runs"}
    assert running(cloud) == {"speech-lr0_1-seed2", "speech-lr0_01-seed3"}
    assert states(sweep(lab, RETRY_FAILED="1")) == {}, "they run, and have not ended yet"


def test_a_large_sweep_says_what_it_comes_to_and_asks_nothing_of_aws_without_a_yes(lab, cloud):
    lab.write("experiments/speech.toml", f'instance_types = ["g5.xlarge"]\nmatrix.seed = {list(range(1000))}\n')
    ended = sweep(lab)
    assert ended.code == 1
    assert ended.error.startswith("error: EXP: 'speech' would launch 1000 instances, for up to $")
    assert ended.error.endswith(' an hour; YES=1 launches them, or PARAMS="name=value" fixes a parameter')
    lab.write("experiments/speech.toml", f'instance_types = ["m5.large"]\nmatrix.seed = {list(range(1000))}\n')
    assert "would launch 1000 instances, at a price that is not known; YES=1 launches them" in sweep(lab).error
    assert {call["action"] for call in cloud.calls()} == {"GetProducts"}
    assert sweep(lab, PARAMS="seed=7").code == 0
    assert running(cloud) == {"speech-seed7"}


def test_a_large_sweep_that_is_meant_is_made(lab, cloud):
    lab.write("experiments/speech.toml", f'instance_types = ["g5.xlarge"]\nmatrix.seed = {list(range(101))}\n')
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation"}])
    assert sweep(lab).code == 1
    assert cloud.calls("RunInstances") == []
    meant = lab.start("sweep", EXP="speech", YES="1")
    assert wait_until(lambda: len({call["params"]["ClientToken"] for call in cloud.calls("RunInstances")}) > 1)
    meant.kill()
    meant.communicate()


def test_one_that_aws_finds_too_fast_goes_on_more_slowly_and_makes_each_instance_once(lab, cloud):
    cloud.scenario(buckets={"RunInstances": {"size": 1, "refill": 2}})
    ended = sweep(lab)
    assert ended.code == 0, ended.err
    assert running(cloud) == ALL
    codes = [call["code"] for call in cloud.calls("RunInstances")]
    assert codes.count(None) == 6
    assert set(codes) == {None, "RequestLimitExceeded"}


def test_two_sweeps_at_once_make_each_instance_once(lab, cloud):
    cloud.scenario(pending=0.5, latency=0.02)
    processes = [lab.start("sweep", EXP="speech") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)
    assert running(cloud) == ALL
    assert sweep(lab).code == 0
    assert running(cloud) == ALL


@pytest.mark.usefixtures("in_cloud_time")
def test_a_trial_that_another_sweep_launches_and_that_ends_meanwhile_is_not_launched_again(lab, cloud):
    with closing(Session(lab.path, load_lab(lab.path), "sweep")) as session:
        (trial,) = variations("speech", {"lr": [0.1], "seed": [1]}, {})
        spec = RunSpec(written_experiment(lab.path, "speech"), "speech")
        sweeping = Sweep(session, spec, lambda _: None, "make sweep EXP=speech", History(()))
        assert lab.launch(trial.name, BASE="speech", PARAMS="lr=0.1 seed=1").code == 0
        assert lab.teardown(trial.name).code == 0
        (outcome,) = sweeping.run([trial])
    assert outcome.state == "was launched before"
    assert running(cloud) == set()


def test_who_is_at_work_on_one_of_them_is_left_alone(lab, cloud):
    cloud.scenario(pending=600)
    other = lab.start("launch", EXP="speech-lr0_1-seed1", BASE="speech", PARAMS="lr=0.1 seed=1")
    wait_for_instances(cloud, 1)
    cloud.scenario()  # for the instances of the sweep
    ended = sweep(lab)
    assert states(ended)["speech-lr0_1-seed1"] == "failed"
    assert "is locked by launch (" in ended.error
    assert running(cloud) == ALL
    other.kill()
    other.communicate()


@pytest.mark.parametrize(
    ("script", "variables", "said"),
    [
        ("sweep", {"EXP": "demo"}, "experiments/demo.toml: has no [matrix] to sweep"),
        ("sweep", {"EXP": "nothing"}, "experiments/nothing.toml: no such experiment"),
        ("sweep", {"EXP": "speech", "PARAMS": "x=1"}, "has no parameter x"),
        ("launch", {"EXP": "speech"}, 'lr, seed has several values; choose one (PARAMS="lr=0.1"), or `make sweep EXP='),
        ("launch", {"EXP": "speech-b", "BASE": "spech"}, 'no such experiment (did you mean "speech"?)'),
        ("launch", {"EXP": "demo", "BASE": "speech"}, "BASE: experiments/demo.toml exists; leave BASE out"),
        ("launch", {"EXP": "speech-b", "BASE": "A b"}, "BASE: 'A b' is not a name of lower-case letters"),
        ("teardown", {"EXP": "speech-*; x"}, "EXP: 'speech-*; x' is not a name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(lab, cloud, script, variables, said):
    ended = lab.run(script, **variables)
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls("RunInstances") == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("matrix = 3", "matrix: should be a valid dictionary"),
        ("[matrix]\nlr = []", "matrix.lr: is empty"),
        ("[matrix]\nlr = 0.1", "matrix.lr: should be a valid list"),
        ("[matrix]\nlr = [[1]]", "matrix.lr[0]: [1] is not a string, a number, true or false"),
        ("[matrix]\nlr = [nan]", "is not a number"),
        ("[matrix]\nPATH = [1]", "'PATH' is a variable of the system"),
        ('[parameters]\nx = "a\\nb"', "no line breaks"),
        ("parameters.x = 1\nmatrix.x = [1]", "x is in parameters and in matrix"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(lab, written, said):
    lab.write("experiments/speech.toml", f'instance_types = ["g5.xlarge"]\n{written}\n')
    for script in ("sweep", "launch", "plan"):
        ended = lab.run(script, EXP="speech")
        assert ended.code == 1
        assert said in ended.error


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("seed = [1, 2, 1]", "experiments/speech.toml: matrix.seed: 1 is listed twice"),
        ('seed = [true, "true"]', "matrix.seed: true is listed twice"),
        (f"a = {list(range(101))}\nb = {list(range(100))}", "matrix: has 10,100 combinations; the maximum is 10,000"),
    ],
)
def test_a_matrix_that_is_a_slip_launches_nothing(lab, cloud, matrix, said):
    lab.write("experiments/speech.toml", f'instance_types = ["g5.xlarge"]\n[matrix]\n{matrix}\n')
    ended = sweep(lab, YES="1")
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls() == []
