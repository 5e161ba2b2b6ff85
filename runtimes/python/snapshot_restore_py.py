"""
The hooks of SnapStart, under the name that AWS gives them: what a function registers here runs right
before its initialised environment is saved, and right after it was restored.
"""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(function, *args, **kwargs):
    """Call function(*args, **kwargs) before the snapshot; the last registered is called first."""
    _before_snapshot.append((function, args, kwargs))
    return function


def register_after_restore(function, *args, **kwargs):
    """Call function(*args, **kwargs) after a restore, in the order of registration."""
    _after_restore.append((function, args, kwargs))
    return function


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore
