"""The engine that draws with the published networks. torch is imported here and nowhere else."""
