"""Runs a program on a terminal of its own and prints what it wrote there.

Usage: terminal.py COLUMNS [VARIABLE=VALUE ...] -- PROGRAM ARGUMENT...
The variables replace those of the same name; LC_ALL, LC_CTYPE, COLUMNS and NO_COLOR are unset.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def main(arguments):
    columns = int(arguments.pop(0))
    at = arguments.index("--")
    variables, command = arguments[:at], arguments[at + 1 :]
    for name in ("LC_ALL", "LC_CTYPE", "COLUMNS", "NO_COLOR"):
        os.environ.pop(name, None)
    os.environ["TERM"] = "xterm"
    os.environ.update(each.split("=", 1) for each in variables)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = os.fork()
    if process == 0:
        os.dup2(theirs, 1)
        os.execv(command[0], command)
    os.close(theirs)
    written = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # The other end is closed.
            break
        if not more:
            break
        written += more
    _, status = os.waitpid(process, 0)
    sys.stdout.buffer.write(written.replace(b"\r\n", b"\n"))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
