"""A warden, a program to look around with, and the promise that nothing is left."""

import os
import pathlib
import stat
import subprocess

import pytest
import warden as wardens

from harness.zips import zip_of

HERE = pathlib.Path(__file__).parent
FLAGS = ["-std=gnu2x", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2"]


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """fake_router and probe, compiled."""
    if os.geteuid() != 0:
        pytest.fail("a warden is root: run the tests as root")
    folder = tmp_path_factory.mktemp("programs")
    compiler = os.environ.get("CC", "cc")
    for name, flags in (("fake_router", []), ("probe", ["-static"])):
        subprocess.run([compiler, *FLAGS, *flags, "-o", folder / name, HERE / f"{name}.c"], check=True, timeout=60)
    spy = ["-shared", "-fPIC", "-o", folder / "malloc_spy.so", HERE / "malloc_spy.c"]
    subprocess.run([compiler, *FLAGS, *spy], check=True, timeout=60)
    for path in (folder, *folder.parents):
        if path != pathlib.Path("/tmp") and path.owner() == "root":
            path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    return folder


@pytest.fixture(scope="session")
def probe_zip(programs):
    return zip_of({"bootstrap": ((programs / "probe").read_bytes(), 0o755)})


@pytest.fixture(scope="session")
def new_warden_for(programs):
    """Make wardens and end them: each must leave with status 0 (or have been killed) and take all with it."""

    def make(request_finalizer, **options):
        one = wardens.Warden(programs, **options)

        def end():
            try:
                if one.process and one.process.poll() is None:
                    status = one.stop()
                    assert status == 0, f"SIGTERM: status {status}\n{one.log()[-3000:]}"
                left = one.leftovers()
                assert not any(left.values()), f"left behind: {left}\n{one.log()[-3000:]}"
                assert "Sanitizer" not in one.log() and "Assertion" not in one.log(), one.log()[-5000:]
            finally:
                one.forget()

        request_finalizer(end)
        return one

    return make


@pytest.fixture
def new_warden(request, new_warden_for):
    """new_warden(setting=…): a warden, not yet started."""
    return lambda **options: new_warden_for(request.addfinalizer, **options)


@pytest.fixture
def warden(new_warden, probe_zip):
    """One that serves, with the probe unpacked; `code` is its digest."""
    one = new_warden(drain_ms_max=100).serving()
    assert one.router.unpack(probe_zip).answer == wardens.UNPACK_DONE
    return one


@pytest.fixture(scope="session")
def code(probe_zip):
    return wardens.digest_of(probe_zip)
