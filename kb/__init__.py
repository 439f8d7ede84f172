"""The platform: settings, database, people, permission, later work, audit. It knows nothing of sales.

Open `app.py` first (how everything is wired), then `web.py` (how a request is let in) and `db.py`.
Every other package may import this one; only `app.py`, `cli.py` and `migrations/env.py` import the others.
"""

import gc
import os

# Threads of numeric libraries that have nothing to do sleep: two such libraries that spin on two cores stand in each
# other's way for seconds. It must be said before any of them is loaded, and this package is imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# What a program imports is never garbage, and a request makes too much for Python's own pace of looking for it.
gc.set_threshold(20_000, 20, 50)
