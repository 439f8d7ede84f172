"""Assets, their versions and tags, the deals they are used on, and the one rule of who sees them.

Open `visibility.py` first, then `reading.py` (the readers' only way to an asset) and `models.py`.
Imports `kb`; `search` and `review` import this package.
"""
