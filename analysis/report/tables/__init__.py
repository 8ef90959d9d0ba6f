"""Records as tables for a terminal. Takes records, imports nothing of ours."""
