"""SnapStart's side of mayfly_runtime: imported by versions that have it, at the end of their initialisation."""
import errno
import os
import sys

IMAGE_FD = 6

# Why an initialised process cannot be saved, for people who look at the version's StateReason.
TROUBLES = {
    errno.EBUSY: "the process has more than one thread after its initialization.",
    errno.ECHILD: "the process has child processes after its initialization.",
    errno.EBADFD: "the process has open files or connections after its initialization.",
    errno.EOPNOTSUPP: "the process has memory that is shared with a file, a device or another process.",
    errno.EOVERFLOW: "its memory is larger than a snapshot may be.",
    errno.E2BIG: "its memory has more parts than a snapshot has room for.",
    errno.ECANCELED: "its memory does not suffice to save it: give the function more.",
    errno.ENOSYS: "this machine cannot save processes.",
}


def hooks():
    return sys.modules.get("snapshot_restore_py")  # who has registered something has imported it


def run_before():
    module = hooks()
    while module and module.get_before_snapshot():
        function, args, kwargs = module.get_before_snapshot().pop()
        function(*args, **kwargs)


def run_after():
    module = hooks()
    for function, args, kwargs in module.get_after_restore() if module else ():
        function(*args, **kwargs)


def words():
    """What the saver has left in the image about what is in the way, for instance which descriptor."""
    try:
        first = os.pread(IMAGE_FD, 512, 0).split(b"\n", 1)[0].decode("utf-8", "replace")
    except OSError:
        return ""
    kind, _, rest = first.partition(" ")
    return " (%s)" % rest.partition(" ")[2] if kind == "refused" else ""


def save(is_forked):
    """
    Save this process: None in every one that is restored from it (with its own environment
    variables to be read), in the one that saves the reason why it could not, or "".
    """
    if not is_forked:
        return "its runtime was not forked from the pack's zygote, and cannot be saved."
    os.environ["MAYFLY_SNAPSHOT"] = "1"  # the next fork() saves: see src/zygote/preload.c
    try:
        return "" if os.fork() != 0 else None
    except OSError as e:
        trouble = TROUBLES.get(e.errno, "the process could not be saved: %s." % e.strerror)
        return trouble[:-1] + words() + "."
