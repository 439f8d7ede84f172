"""Finds assets by what a customer said, among those the reader may see.

Open `service.py` first, then `engine.py` (what an engine must do) and `analysis.py` (how text becomes terms).
Imports `kb` and `content`; knows nothing of `review`.
"""
