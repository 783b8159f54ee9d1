"""A supervisor to kill: `embedded_supervisor.py DATA_ROOT [UID]`.

It prints the URL, for every line on stdin starts the server again once that has ended, and stops in an orderly way
when stdin ends. As root it first becomes UID; everything is imported before that, as the interpreter may lie where UID
cannot read.
"""

import os
import sys
from pathlib import Path

from service.embedded import Cluster


def main() -> None:
    if len(sys.argv) > 2:
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    with Cluster(Path(sys.argv[1])) as cluster:
        print(cluster.url, flush=True)
        for _ in sys.stdin:
            assert cluster.wait(timeout_seconds=20)
            print(cluster.start(), flush=True)


if __name__ == "__main__":
    main()
