"""The words that the lab does not use, in names and in prose: `make lint` runs this.

One word for each thing, and it is the word of AWS, Kubernetes, Python or the ML community.
"""

import re
import sys
from pathlib import Path

DROPPED = {
    r"data sets?": "dataset",
    r"machines?": "instance; for the user's own, computer",
    r"weathers?": "scenario",
    r"wishes": "preferences",
    r"anew": "again",
    r"mend(?:s|ed)?": "fix",
    r"outstay(?:s|ed)?": "past its retention",
    r"overgrown": "needs compaction",
    r"data_sets": "datasets",
    r"unsettled|settling_seconds": "unresolved, consistency_seconds",
    r"gone_codes|not_yet_codes|looked_up|lab_kinds": "the interfaces in ec2lab/resource.py and plugin_interfaces.py",
    r"kept_(?:bytes|volumes?)": "live_bytes, retained_volume",
    r"what_it_says|told_by|quotas_told|untold": "outcome_of, snapshots_in, read_quotas, unknown",
    r"str(?:ikes?|uck) (?:it |them )?out": "remove from the registry",
    r"ailments?": "health findings",
    r"zone_refused|said_everywhere": "unavailable_zone, global_error",
    r"not-looked-at|not-told|look-refused": "check-skipped, check-unavailable, check-denied",
    r"made_once": "find_or_create",
    r"LabError": "UserError",
    r"(?:at_teardown|keep_for|retry_for|on_failed_boot|ssh_from|console_wait)": "the keys of ec2lab/config/models.py",
    r"lab:(?:by|record|ends|kept|made|machine|at-teardown)": "the tags of ec2lab/aws/tags.py",
    r"make (?:extend|relaunch|volume-keep|datasets-prune|teardown-lab|picture)": "the targets of the Makefile",
}
ALLOWED = {
    r"[\w/.-]*machine[-_]id[\w.-]*": "systemd's own word",
    r"virtual machines?|machine learning|machine-learning|machine-readable|state machine": "the field's own words",
    r'"-machine", "pc"': "an option of qemu",
    r"\w+\.machine\(\)": "Python's own, of the computer",
}
ROOMS = ("ec2lab", "scripts", "local_cloud", "templates", "tests", "bench", "docs", ".ci")
FILES = ("Makefile", "*.md", "lab.toml", "pyproject.toml", "experiments/demo.toml", *(f"{room}/**/*" for room in ROOMS))
SKIPPED = re.compile(r"\.(lock|svg|png)$|^(LICENSE|tests/(test_)?vocabulary\.py)$")
WORD = re.compile(rf"(?<![A-Za-z_])(?P<word>{'|'.join(DROPPED)})(?![A-Za-z_])", re.IGNORECASE)
FREE = re.compile("|".join(ALLOWED), re.IGNORECASE)


def complaints(text: str) -> list[tuple[int, str, str]]:
    """Return line, word and what to write instead, for each dropped word of a text."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        for met in WORD.finditer(FREE.sub("", line)):
            instead = next(use for word, use in DROPPED.items() if re.fullmatch(word, met["word"], re.IGNORECASE))
            found.append((number, met["word"], instead))
    return found


def main() -> int:
    """Print each complaint; the exit status is 1 if there is one."""
    failed = 0
    for path in sorted(path for pattern in FILES for path in Path().glob(pattern)):
        if not path.is_file() or "__pycache__" in path.parts or SKIPPED.search(str(path)):
            continue
        for number, word, instead in complaints(path.read_text()):
            print(f"{path}:{number}: {word!r} is not the lab's word (write: {instead})")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
