"""What real hosts and real people have: start-up files that print, an ssh configuration made for terminals."""

START_UP = {
    "/bin/bash": "/etc/bash.bashrc",
    "/bin/dash": "/etc/ssh/sshrc",  # which sshd runs for every shell: this one reads no file of its own
    "/bin/zsh": "/etc/zsh/zshenv",
    "/usr/bin/fish": "/etc/fish/config.fish",
    "/bin/tcsh": "/etc/csh.cshrc",
}
"""Login shells, and the file that each reads whenever ssh has it run a command."""
BANNER = "echo 'Welcome to speech'\necho '{\"banner\": true}'\necho 'sourced' >&2\nprintf 'no newline'\n"
NOISE = (
    BANNER
    + "head -c 1000000 /dev/zero | tr '\\0' x\nprintf '\\377\\000\\033[31m{'\n(sleep 0.2; echo late; echo late >&2) &\n"
)
"""A program of sh's that prints on both outputs, also later, in the background."""


def start_up(host, shell, line):
    """Have a login shell begin with a line of its own."""
    host.write(START_UP[shell], f"{line}\n")


def make_noisy(host, shell, noise=NOISE):
    """Have a login shell begin with noise."""
    host.write("/etc/noise", noise)
    start_up(host, shell, "sh /etc/noise")


def for_terminals(directory):
    """Return settings of a user's ssh configuration of which each would end or spoil a call that nobody types into."""
    return (
        "Host *\n  RemoteCommand tmux attach\n  RequestTTY force\n  PermitLocalCommand yes\n"
        f"  LocalCommand touch {directory}/local-command; echo {{\n  SendEnv *\n  SetEnv PYTHONHOME=/nowhere\n"
        f"  ControlMaster auto\n  ControlPath {directory}/shared-%C\n  ControlPersist 60\n"
        "  StdinNull yes\n  SessionType none\n  ForkAfterAuthentication yes\n  VisualHostKey yes\n  LogLevel QUIET\n"
        f"  ExitOnForwardFailure yes\n  LocalForward /nowhere/socket localhost:1\n  ForwardAgent yes\n"
    )
