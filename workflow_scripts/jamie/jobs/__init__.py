"""What surrounds a job: which run it belongs to, its attempts, claims, checksums, disk and GPU."""
