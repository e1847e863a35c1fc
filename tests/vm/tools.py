"""What an image would bring, the AWS CLI, on a disk of its own; and where S3 is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.local_cloud_client import LocalCloud
from tests.vm.image import building, compile_python, kept
from tests.vm.instance import Disk, data_disk

AWS_CLI = "awscli==1.45.11"
VOLUME = "vol-0bbbbbbbbbbbbbbbb"
HOST = "169.254.169.253"
"""This computer's loopback, as instances reach it."""
PLUGIN = """
from ec2lab.launch.part import LaunchPart, LaunchFragment
from ec2lab.plugins import hookimpl

SETTINGS = "[Service]\\nEnvironment=AWS_ENDPOINT_URL=http://{host}:{port} "
SETTINGS += "AWS_DEFAULT_REGION=us-east-1 {keys}\\n"
PROXY = "{proxy}"
TOOLS = "{volume}".replace("-", "")
SERIAL = 'open("/sys/block/" + disk.path[5:] + "/device/serial").read()'
OURS = 'disk.path.startswith("/dev/nvme") and ' + SERIAL + f'.replace("{{TOOLS}}", "").startswith("vol")'
NAMED = r"s#^\\([[:space:]]*\\)if [A-Za-z]*[.]model *== *[A-Za-z_]*:#\\1if " + OURS + r': return "sdf"\\n\\1if False:#'


class Tools(LaunchPart):
    name = "tools"
    order = 19

    def share(self, site):
        units = ("experiment", "experiment-log", "experiment-outputs")
        paths = [f"/etc/systemd/system/{{unit}}.service.d/tools.conf" for unit in units]
        files = {{path: SETTINGS for path in paths}}
        if PROXY:
            files["/etc/environment"] = f"http_proxy={{PROXY}}\\nhttps_proxy={{PROXY}}\\nno_proxy=intranet.example\\n"
        return LaunchFragment(cloud_init={{
            "write_files": [{{"path": p, "permissions": "0644", "content": text}} for p, text in files.items()],
            "runcmd": [
                f"test ! -e /opt/ec2-lab/mount-volumes || sed -i '{{NAMED}}' /opt/ec2-lab/mount-volumes",
                ["mkdir", "-p", "/opt/tools"],
                ["mount", "-o", "ro", "-L", "tools", "/opt/tools"],
                ["ln", "-sf", "/opt/tools/bin/aws", "/usr/local/bin/aws"],
            ],
        }})


@hookimpl
def lab_launch_parts():
    return [Tools()]
"""
"""Mounts the disk, and gives qemu's disks the name that EBS tells and qemu can't."""
COMPILED = "by the image's Python"
COMMAND = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/opt/tools")
import awscli.clidriver
sys.exit(awscli.clidriver.main())
"""


def plugin(cloud: LocalCloud, proxy: int = 0, url: str = "") -> str:
    """Return the plugin by which instances have the tools, and find the local cloud.

    They have keys in their environment; behind a proxy, at a port of this computer's, what their metadata gives. The
    local cloud is at another `url` for them, where something lies in between.
    """
    keys = f"AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY={cloud.secret}"
    through = f"http://{HOST}:{proxy}" if proxy else ""
    port = (url or cloud.url).rpartition(":")[2]
    return PLUGIN.format(host=HOST, port=port, keys="" if proxy else keys, proxy=through, volume=VOLUME)


def tools_disk() -> Disk:
    """Return the disk with the AWS CLI on it, made once."""
    made = kept("tools", f"{AWS_CLI} {COMMAND} {COMPILED}")
    with building(made) as draft:
        if draft:
            _build(draft)
    return Disk(VOLUME, made / "disk.img", read_only=True)


def _build(draft: Path) -> None:
    files = draft / "files"
    packages = ["--quiet", "--no-compile", "--target", str(files), AWS_CLI]
    subprocess.run(["python3", "-m", "pip", "install", *packages], check=True, capture_output=True)
    compile_python(files, "/opt/tools")
    command = files / "bin/aws"
    command.write_text(COMMAND)
    command.chmod(0o755)
    data_disk(draft / "disk.img", mib=600, kind="ext4", L="tools", files=files)
    shutil.rmtree(files)
