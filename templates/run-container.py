#!/usr/bin/python3 -I
"""Run an experiment's command in its container, as its unit's main process. Python 3.9 or later.

    run-container run MOUNT[:ro]... DIRECTORY:directory
    run-container remove

The command's environment is a file in memory that its script reads and empties: docker keeps what it is told about a
container on disk, and everyone on the instance can read a command line.

systemd sends SIGTERM to this process alone (KillMode=mixed). It is passed on to every process of the container but its
init, as systemd does with the processes of a unit; docker would signal only the first, whose end kills the others.

The container outlives a restart of docker's daemon, as an update of its package makes: it prints into the log's pipe
itself, and its end is waited for again.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pwd
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

ACCOUNT, NAME, SCRIPT = "experiment", "ec2-lab-experiment", "/opt/ec2-lab/experiment"
IMAGE = pathlib.Path("/var/lib/ec2-lab/instance/container-id")
RUNTIME = pathlib.Path("/run/ec2-lab/experiment")
BEGUN, ENVIRONMENT, WHY = RUNTIME / "begun", RUNTIME / "environment", RUNTIME.parent / "never-began"
OUTPUT = RUNTIME.parent / "output"
DAEMON = pathlib.Path("/etc/docker/daemon.json")
PAUSE, TRIES = 1, 600
"""Seconds, and how often an exit status is asked for while docker's daemon does not respond."""
DEVICES, HOSTS = pathlib.Path("/dev"), pathlib.Path("/opt/ec2-lab/hosts")
LIMITS = ("memlock", "nofile", "core")
"""As experiment.service has them."""
STACK = 64 << 20
"""Bytes; NVIDIA's images ask for it."""
SHELL = f'exec >{OUTPUT} 2>&1; command -v bash >/dev/null 2>&1 && exec bash "$0"; exec sh "$0"'
OWN = re.compile(
    r"PATH|SHELL|PWD|OLDPWD|SHLVL|_|LANG|LANGUAGE|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|SYSTEMD_EXEC_PID|"
    r"MEMORY_PRESSURE_(WATCH|WRITE)|(LC|LD)_.*|.*\W.*"
)
"""Variables of the host: the image has its own, or they mean nothing there."""
NVIDIA, DISPLAY = "0x10de", "0x03"
"""Vendor, and class of PCI devices (https://pci-ids.ucw.cz/)."""
TOOLKIT = "nvidia-container-runtime-hook"
"""What docker looks for before it takes --gpus
(https://github.com/moby/moby/blob/master/daemon/nvidia_linux.go)."""
NO_TOOLKIT = (
    "the instance has NVIDIA GPUs and its AMI lacks the NVIDIA Container Toolkit: "
    "install nvidia-container-toolkit (https://docs.nvidia.com/datacenter/cloud-native/container-toolkit)"
)


class NeverBegan(Exception):
    """The command cannot begin."""


def docker(*words):
    """Run docker without the command's environment. Raises NeverBegan with its last line."""
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True, env=QUIET, cwd="/")
    if done.returncode:
        raise NeverBegan((done.stderr.strip().splitlines() or [f"docker exited with {done.returncode}"])[-1])
    return done.stdout


QUIET = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root"}


def has_nvidia_gpu():
    """Return whether a PCI device is one, whatever drivers there are."""
    devices = pathlib.Path("/sys/bus/pci/devices").glob("*")
    return any(
        (one / "vendor").read_text().strip() == NVIDIA and (one / "class").read_text().startswith(DISPLAY)
        for one in devices
    )


def gpu_devices():
    """Yield docker's options for the device nodes of NVIDIA GPUs, which --gpus adds without systemd's knowledge.

    Any `systemctl daemon-reload` (package updates run it, and `make ttl-set`) would take them from the container. runc
    tells systemd only of devices that are found below /dev/char, where NVIDIA's driver puts none
    (https://github.com/NVIDIA/nvidia-container-toolkit/issues/48).
    """
    if shutil.which("nvidia-modprobe"):  # or /dev/nvidia-uvm comes with the first program that uses a GPU
        subprocess.run(["nvidia-modprobe", "-c", "0", "-u"], check=False, capture_output=True, env=QUIET, cwd="/")
    nodes = sorted((*DEVICES.glob("nvidia*"), *DEVICES.glob("nvidia-caps/*")))  # the second, of MIG
    (DEVICES / "char").mkdir(exist_ok=True)
    for node in filter(pathlib.Path.is_char_device, nodes):
        number = node.stat().st_rdev
        link = DEVICES / f"char/{os.major(number)}:{os.minor(number)}"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(f"../{node.relative_to(DEVICES)}")
        yield f"--device={node}"


def accelerators():
    """Yield docker's options for GPUs, EFA and Neuron devices. Raises NeverBegan."""
    if has_nvidia_gpu():
        if not shutil.which(TOOLKIT):
            raise NeverBegan(NO_TOOLKIT)
        yield "--gpus=all"
        yield from gpu_devices()
    for device in (*DEVICES.glob("infiniband"), *DEVICES.glob("neuron*")):
        yield f"--device={device}"


def mounts(account, wanted):
    """Yield docker's options for what is mounted, at the same paths. Raises NeverBegan."""
    for path, _, kind in (path.partition(":") for path in wanted):
        if kind != "directory" and not os.path.ismount(path):
            raise NeverBegan(f"{path} is not mounted")
    own = [str(OUTPUT), f"{SCRIPT}:ro", *map(str, HOSTS.parent.glob(HOSTS.name)), account.pw_dir, str(RUNTIME)]
    for path, _, kind in (path.partition(":") for path in (*own, *wanted)):
        yield f"--mount=type=bind,source={path},target={path}{',readonly' if kind == 'ro' else ''}"


def limits():
    """Yield docker's options for the limits of resources."""
    for name in LIMITS:
        soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        yield f"--ulimit={name}={soft}:{hard}"
    yield f"--ulimit=stack={STACK}:{resource.getrlimit(resource.RLIMIT_STACK)[1]}"


def keep_alive():
    """Let containers go on while docker's daemon is restarted, if that is set nowhere. Raises NeverBegan, OSError.

    https://docs.docker.com/engine/daemon/live-restore
    """
    if docker("info", "--format={{.LiveRestoreEnabled}} {{.Swarm.LocalNodeState}}").split() == ["false", "inactive"]:
        settings = json.loads(DAEMON.read_text()) if DAEMON.exists() else {}
        DAEMON.parent.mkdir(exist_ok=True)
        draft = DAEMON.with_suffix(".new")
        draft.write_text(json.dumps({**settings, "live-restore": True}, indent=2))
        draft.replace(DAEMON)
        subprocess.run(["systemctl", "reload", "docker"], check=False)


def options(account, wanted):
    """Return docker's options."""
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return [
        f"--name={NAME}", "--init", "--network=host", "--ipc=host", "--log-driver=none", "--pull=never",
        f"--user={account.pw_uid}:{account.pw_gid}", *(f"--group-add={group}" for group in groups),
        f"--workdir={account.pw_dir}", "--entrypoint=sh", *limits(), *mounts(account, wanted), *accelerators(),
    ]  # fmt: skip


def write_environment(account):
    """Write what the command finds in its environment, for its account alone."""
    known = {name: value for name, value in os.environ.items() if not OWN.fullmatch(name)}
    known.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name, RUNTIME_DIRECTORY=str(RUNTIME))
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known.items())
    with os.fdopen(os.open(ENVIRONMENT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
        file.write(os.fsencode(text))


def terminate():
    """Send SIGTERM to the processes of the container, except its init. Raises NeverBegan while there are none."""
    init = docker("inspect", "--format={{.State.Pid}}", NAME).strip()
    for pid in docker("top", NAME, "-eo", "pid").split()[1:]:
        if pid != init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)


def exit_code():
    """Return the exit status of the container once it has one: docker's daemon may be away for a while meanwhile."""
    for _ in range(TRIES):
        try:
            return int(docker("wait", NAME))
        except NeverBegan as why:
            problem = why
            time.sleep(PAUSE)
    print(f"ec2-lab: the exit status of the container is unknown: {problem}", flush=True)
    return 128 + signal.SIGKILL


def run(wanted):
    """Run the command and return its exit status. Raises NeverBegan."""
    if not IMAGE.exists():
        raise NeverBegan("its image was not pulled (journalctl -u experiment-container)")
    account = pwd.getpwnam(ACCOUNT)
    image = IMAGE.read_text()
    with contextlib.suppress(NeverBegan, OSError, ValueError):
        keep_alive()
    docker("create", *options(account, wanted), image, "-c", SHELL, SCRIPT)
    write_environment(account)
    started = subprocess.Popen(
        ["docker", "start", "--attach", NAME], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=QUIET, cwd="/"
    )

    def pass_on(*_):
        try:
            terminate()
        except NeverBegan:
            started.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    _, complaint = started.communicate()
    code = exit_code()
    if not BEGUN.exists():
        print(complaint.decode(errors="replace"), end="", flush=True)
        why = docker("inspect", "--format={{.State.Error}}", NAME).strip()
        raise NeverBegan(why or f"sh exited with {code} before the command; the log says why")
    return code


def main(mode, *wanted):
    """Run, or remove the container, whatever became of it."""
    if mode == "remove":
        with contextlib.suppress(NeverBegan, FileNotFoundError):
            docker("rm", "--force", NAME)
        return 0
    try:
        return run(wanted)
    except (NeverBegan, OSError) as why:
        if not WHY.exists():
            WHY.write_text(f"the command never started: container: {' '.join(str(why).split())[:1000]}")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
