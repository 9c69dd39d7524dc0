"""Reference baselines: from grey values to a leaderboard entry, over the server's public API."""
