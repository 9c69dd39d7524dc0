"""Submissions: what a team hands in, its quota, metadata and pages."""
