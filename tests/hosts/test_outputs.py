"""Outputs of a command under a real systemd: its directory, what is uploaded while it runs, and after it was killed."""

import json

from tests.hosts.test_delivery import launching
from tests.hosts.test_secret_delivery import STATE, there  # noqa: F401 - a fixture
from tests.waiting import wait_until

EXPERIMENT = """
instance_types = ["g5.xlarge"]
regions = ["us-east-1"]
instance_profile = "writer"
artifact_uri = "s3://lab-runs"
outputs = "/outputs"
sync_every = "10s"
command = '''
echo "RESUMED=$RESUMED in $(stat -c %U:%a /outputs), ${NOTIFY_SOCKET-told nothing}"
echo whole >/outputs/model
while test ! -e ~/go-on; do sleep 0.1; done
exec 3>/outputs/model
echo ha >&3
kill -KILL $$
'''
"""


def test_outputs_are_uploaded_while_the_command_runs_and_what_it_was_writing_when_it_was_killed_is_not(there, cloud):  # noqa: F811
    lab, systemd = there
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    lab.write("experiments/train.toml", EXPERIMENT)
    systemd.host.write("/usr/bin/aws", "#!/bin/sh\nexec cat >/dev/null\n", mode=0o755)
    systemd.host.run("sh", "-ec", f"rmdir {STATE}; mkdir /var/lib/ec2-lab/i-1; ln -s i-1 {STATE}")
    process = launching(lab, cloud, systemd.host)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err

    def uploaded():
        found = s3.list_objects_v2(Bucket="lab-runs", Prefix="train/").get("Contents", [])
        return {
            one["Key"].rpartition("/")[2]: s3.get_object(Bucket="lab-runs", Key=one["Key"])["Body"].read()
            for one in found
        }

    assert wait_until(lambda: uploaded() == {"model": b"whole\n"})
    assert systemd.run("systemctl", "is-active", "experiment-outputs").stdout == "active\n"
    systemd.host.path("/home/experiment/go-on").touch()
    ended = systemd.host.path(f"{STATE}/ended.json")
    assert wait_until(ended.exists)
    assert json.loads(ended.read_text())["exit_code"] == 137
    assert wait_until(lambda: systemd.run("systemctl", "is-active", "experiment", check=False).stdout == "failed\n")
    assert uploaded() == {"model": b"whole\n"}
    log = systemd.host.path(f"{STATE}/log").read_text()
    assert log.startswith("RESUMED=0 in experiment:755, told nothing\n")
    assert "ec2-lab: outputs: 'model' was being written when the command was killed" in log
    stopped = systemd.run("systemctl", "is-active", "experiment-outputs", check=False).stdout
    assert stopped in ("inactive\n", "deactivating\n"), "nothing is left to upload"
