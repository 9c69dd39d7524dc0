"""What a worker does with a submission: score, rescore, diagnose, compare, notify."""
