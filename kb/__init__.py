"""The platform: settings, database, people, permission, later work, audit. It knows nothing of sales.

Open `app.py` first (how everything is wired), then `web.py` (how a request is let in) and `db.py`.
Every other package may import this one; only `app.py`, `cli.py` and `migrations/env.py` import the others.
"""
