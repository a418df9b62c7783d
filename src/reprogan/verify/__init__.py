"""Whether a commit gives the bytes that its dvc.lock says: its stages run again, elsewhere, from nothing else."""
