"""The lab's ssh files, written by many launches of one process at once."""

from concurrent.futures import ThreadPoolExecutor

from scripts.core.hosts.ssh_files import SshFiles

AT_ONCE = 32


def test_a_sweeps_launches_write_the_configuration_at_once_and_each_reads_it_whole(tmp_path):
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(40):
            lab = tmp_path / str(number)
            written = list(threads.map(lambda lab: SshFiles(lab).config.read_text(), [lab] * AT_ONCE))
            assert len(set(written)) == 1
            (config,) = (path for path in (lab / ".ssh").iterdir() if path.is_file())
            assert config.stat().st_mode & 0o777 == 0o600
