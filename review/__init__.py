"""Clears versions by legal, marketing and sales before they are published.

Imports `kb` and `content`; knows nothing of `search`.
"""
