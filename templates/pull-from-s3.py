"""Pull everything under an S3 prefix into a directory, and prove that it is all there. Python 3.9 or later.

    pull-from-s3 s3://bucket/prefix /data

With s5cmd where it is installed, which is the fastest for millions of small objects; else with the AWS CLI and its CRT
client. Both send many requests at once and check each object's checksum. Afterwards every object's name and size is
compared with what lies on the disk. Run again, it fetches only what is missing or of another size.
"""

from __future__ import annotations

import collections.abc
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 2
"""The AWS CLI's exit code when it skipped something, such as lost+found; what is missing is found below."""


def fetch(source: str, target: pathlib.Path) -> None:
    """Download what is missing."""
    if shutil.which("s5cmd"):
        command = ["s5cmd", "sync", "--size-only", source.rstrip("/") + "/*", str(target) + "/"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    with tempfile.NamedTemporaryFile("w", prefix="aws-config-") as settings:
        settings.write("[default]\ns3 =\n    preferred_transfer_client = crt\n")
        settings.flush()
        environment = {"AWS_CONFIG_FILE": settings.name, **os.environ}
        command = ["aws", "s3", "sync", "--size-only", "--only-show-errors", *region(source), source, str(target)]
        done = subprocess.run(command, check=False, env=environment)
    if done.returncode not in (0, SKIPPED):
        raise subprocess.CalledProcessError(done.returncode, command)


def region(source: str) -> list:
    """Return the option with a bucket's region, where known.

    The CRT client follows no redirection to another region than this instance's (aws help s3-config).
    """
    bucket = source[len("s3://") :].partition("/")[0]
    command = ["aws", "s3api", "head-bucket", "--bucket", bucket, "--query", "BucketRegion", "--output", "text"]
    told = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return ["--region", told.strip()] if told.strip() not in ("", "None") else []  # None: the CLI's word for nothing


def objects(source: str) -> collections.abc.Iterator[tuple[str, int]]:
    """Yield name (below the prefix) and size of every object; names that end with / only stand for directories."""
    bucket, _, prefix = source[len("s3://") :].partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    query = ["--query", "Contents[].[Size, Key]", "--output", "text"]
    command = ["aws", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, *query]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        for line in listing.stdout or ():
            size, _, key = line.rstrip("\n").partition("\t")
            if size.isdecimal() and not key.endswith("/"):
                yield key[len(prefix) :], int(size)
    if listing.returncode:
        raise subprocess.CalledProcessError(listing.returncode, command)


def why(target: pathlib.Path, name: str) -> str:
    """Return what is wrong with an object's file. S3 can have a and a/b; a file system cannot."""
    if (target / name).is_dir():
        return "is an object, and others lie below its name: no file system holds both"
    if above := next((one for one in pathlib.PurePosixPath(name).parents if (target / one).is_file()), None):
        return f"lies below {above}, which is an object itself: no file system holds both"
    return "is missing or not of its size"


def main(source: str, directory: str) -> int:
    """Download and compare; 1 if anything is missing, of another size, or surplus."""
    for name in ("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"):
        os.environ.setdefault(name, "5")  # for the credentials; the AWS CLI tries once, for a second
    target, failed = pathlib.Path(directory), ""
    try:
        fetch(source, target)
    except subprocess.CalledProcessError as problem:  # what is missing, and why, is found below
        failed = f"{problem.cmd[0]} ended with {problem.returncode}"
    count, total, wrong = 0, 0, []
    for name, size in objects(source):
        count, total = count + 1, total + size
        path = target / name
        if not path.is_file() or path.stat().st_size != size:
            wrong.append(name)
    there = sum(len(files) for path, _, files in os.walk(target) if "lost+found" not in path)
    for name in wrong[:20]:
        print(f"ec2-lab: PROBLEM: {name} {why(target, name)}", flush=True)
    print(f"ec2-lab: {count} objects, {total} bytes in {source}; {there} files, {len(wrong)} wrong", flush=True)
    if count == 0:
        print(f"ec2-lab: PROBLEM: nothing is under {source}", flush=True)
    if failed:
        print(f"ec2-lab: PROBLEM: {failed}", flush=True)
    return 1 if failed or wrong or there != count or count == 0 else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: pull-from-s3: {problem}")
