"""What can be asked under /api, a module a subject: requests to calls, nothing else."""
