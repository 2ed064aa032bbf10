"""Pipelines: from files to tables, figures and a summary."""
