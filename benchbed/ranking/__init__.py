"""Scores of many architectures by proxies: which are asked for, made job by job, kept in a CSV file, read again."""
