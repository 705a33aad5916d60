"""The rules of conftest.py bite: they are tried on small suites of their own."""

import pathlib

import pytest

pytest_plugins = ["pytester"]

CONFTEST = pathlib.Path(__file__).with_name("conftest.py").read_text()
SETTINGS = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
filterwarnings = error
markers = browser: drives a real browser
"""


def output(pytester: pytest.Pytester, **files: str) -> str:
    """Run pytest with our conftest on the given test files; return what it prints."""
    pytester.makeconftest(CONFTEST.replace("LINGER_S = 10.0", "LINGER_S = 0.01"))
    pytester.makeini(SETTINGS)
    pytester.makepyfile(**files)
    options = ("-rA", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*options).stdout.str()


LEAKS = """
import asyncio, threading, pytest, pytest_asyncio

kept = []

@pytest_asyncio.fixture
async def port():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

@pytest.mark.asyncio
async def test_tidy(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await asyncio.to_thread(sum, [1, 2])

@pytest.mark.asyncio
async def test_task():
    kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(60)))

@pytest.mark.asyncio
async def test_socket():
    loop = asyncio.get_running_loop()
    kept.append(await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)))

def test_thread():
    wait = threading.Event().wait
    threading.Thread(target=wait, args=(60,), daemon=True, name="left").start()
"""


def test_a_leaked_task_socket_or_thread_fails_its_test(
    pytester: pytest.Pytester,
) -> None:
    printed = output(pytester, test_leaks=LEAKS)
    assert "ERROR test_leaks.py::test_task - Failed: leaked tasks" in printed
    assert "ERROR test_leaks.py::test_socket - Failed: leaked 1 open socket" in printed
    assert "ERROR test_leaks.py::test_thread - Failed: leaked threads: left" in printed
    assert "4 passed, 3 errors" in printed


SKIPS = """
import pytest

@pytest.mark.browser
def test_needs_a_browser():
    pytest.skip("there is none")

def test_needs_another_system():
    pytest.skip("not this one")
"""
MISSING = "import pytest; pytest.importorskip('no_such_module')"


def test_skips_are_skips_on_a_developer_s_machine(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TANDEM_REQUIRE_ALL", raising=False)
    assert "3 skipped" in output(pytester, test_skips=SKIPS, test_missing=MISSING)


def test_a_skip_of_a_real_peer_or_of_a_file_fails_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_REQUIRE_ALL", "1")
    printed = output(pytester, test_skips=SKIPS)
    assert "browser test skipped: Skipped: there is none" in printed
    assert "1 failed, 1 skipped" in printed
    printed = output(pytester, test_missing=MISSING)
    assert "no_such_module" in printed
    assert "1 error" in printed
