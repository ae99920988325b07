"""The Evaluation page: combine runs, and judge what comes of it."""
