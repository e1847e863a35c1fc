"""The AWS CLI, loaded once: forks a process for each of its commands, in a sixth of the time that a start takes.

Run by the AWS CLI's own Python, on a listening socket that it inherits. Each message has a command's arguments, its
environment and its directory, and its standard input, output and error; the answer is its exit code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from typing import NoReturn

import awscli.clidriver
import awscli.customizations.s3.subcommands

OWN = "AWS_DATA_PATH"
OWN_DATA = os.environ[OWN]
"""Where the AWS CLI has put the way to its own data."""


def serve(listening: socket.socket) -> None:
    """Fork a process for each command that comes; return never, in none of them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks after those that tell how a command ended
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with connection:
                connection.sendall(bytes([ended(connection)]))
            os._exit(0)
        connection.close()


def ended(connection: socket.socket) -> int:
    """Run one command in a process of its own; return its exit code."""
    message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    wish = json.loads(message)
    pid = os.fork()
    if pid == 0:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        run(**wish)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF


def run(arguments: list[str], environment: dict[str, str], directory: str) -> NoReturn:
    """Be a command, to its end."""
    code = 1
    try:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update({**environment, OWN: OWN_DATA})
        sys.argv = ["aws", *arguments]
        code = awscli.clidriver.main()
    except SystemExit as ending:
        code = ending.code
    except BaseException:  # noqa: BLE001 - nothing may go on in the server's place
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
