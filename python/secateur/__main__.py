"""``python -m secateur`` is the program ``secateur``."""

import os
import subprocess
import sys

from ._program import SecateurError, program


def main() -> int:
    try:
        command = [str(program()), *sys.argv[1:]]
    except SecateurError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
