"""Work in which the first process that is given any dies, as if it were killed from outside."""

import os
import signal


def die_once(marker, function, item):
    """Compute ``function(item)``, or kill this process where no other died yet: then the file `marker` is made."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return function(item)
    os.kill(os.getpid(), signal.SIGKILL)
    return None
