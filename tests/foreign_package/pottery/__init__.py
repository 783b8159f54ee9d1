"""A potter's definitions: a package of somebody else."""
