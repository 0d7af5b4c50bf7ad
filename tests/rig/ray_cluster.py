"""``python -m tests.rig.ray_cluster``: a real Ray cluster of three nodes on this machine.

A head without a GPU and two nodes that say that they have one each; each node is processes of its
own, as on a machine of its own. Prints the address, and ends with its standard input.
"""

from __future__ import annotations

import os
import sys
import tempfile

#: GPUs as each node has them; nothing here ever touches one.
NODES = (0, 1, 1)


def main() -> None:
    # Read where Ray is imported. It leaves its logs behind, and its sockets' paths must be short.
    with tempfile.TemporaryDirectory("", "limner-ray-", "/tmp", ignore_cleanup_errors=True) as here:
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": here}
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            for gpus in NODES:
                memory = 80 * 1024**2
                cluster.add_node(wait=False, num_cpus=1, num_gpus=gpus, object_store_memory=memory)
            cluster.wait_for_nodes()
            print(cluster.address, flush=True)  # noqa: T201 - it is what the test reads
            sys.stdin.read()
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
