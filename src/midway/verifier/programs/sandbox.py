"""Runs one untrusted program where it can do no harm. Linux.

With bubblewrap (`bwrap`), which is used wherever it works, COVERED:

- own user, pid, mount, network and ipc namespaces; all capabilities dropped; a system-call filter (x86-64);
- files: sees `/usr` and the folders of this Python, read-only, and a private `/tmp` of `file_bytes` * 4 in memory that
  goes with it; nothing of `/home`, `/etc`, `/proc` or the working directory; no environment variable of ours;
- network: an empty namespace, and no socket can be made at all;
- processes: none can be started (fork, vfork, clone without a shared address space); threads can, within the memory
  limit;
- CPU seconds, measured from outside, and by the kernel, not to be masked, at half as much again (it counts ticks: on a
  busy machine up to a fifth too many); address space, size of a file, open files, output, core dumps;
- sleeping: a program that neither runs nor waits for a processor for `idle_seconds` is killed. Waiting for a busy
  machine does not count. Killing it kills everything in its pid namespace; so does the death of the process that
  started it.

NOT COVERED: bugs of the kernel; side channels and timing; the load it puts on the machine within its limits; disk
reads of what is visible. On other processors than x86-64 there is no system-call filter: sockets then reach an empty
network only, and processes are limited in number (`RLIMIT_NPROC`, which does not bind root).

Without bubblewrap ("limits only", said once on standard error): the same limits, no environment, a system-call filter
that also refuses to write, create, rename or delete files, to signal others and to start programs. NOT COVERED there,
besides the above: it can read any file that this user can read. `require_sandbox` refuses to run programs in that
state.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import marshal
import math
import os
import platform
import select
import shutil
import signal
import site
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, TracebackType

from midway.verifier.pool.pool import busy_seconds, own_wait

ENDING_SECONDS = 60.0
"""Wall seconds for a sandbox to follow its program into its end; a fixed bound on waiting for the kernel."""


START_SECONDS = 0.015
"""What a sandbox and its Python take to start, about. A program's time counts from there; where they were started ahead, this much is
added, so that a limit means the same for every program."""


class SandboxUnavailable(RuntimeError):
    """There is no sandbox here, or it could not be started."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes that one program may use. `run_seconds`: running and idling together; 0 for no such limit."""

    cpu_seconds: int = 10
    idle_seconds: float = 10.0
    run_seconds: float = 0.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    output_bytes: int = 1 << 20


# system-call filter (x86-64) --------------------------------------------------------------------------------------

_EPERM, _ENOSYS = 1, 38
_DENIED = {
    "fork": 57, "vfork": 58, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "socket": 41,
    "mount": 165,
    "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "add_key": 248, "request_key": 249,
    "keyctl": 250, "bpf": 321, "perf_event_open": 298, "io_uring_setup": 425, "userfaultfd": 323, "kexec_load": 246,
    "init_module": 175, "finit_module": 313, "open_by_handle_at": 304, "mount_setattr": 442, "move_mount": 429,
    "fsopen": 430, "open_tree": 428, "syslog": 103, "acct": 163, "reboot": 169, "swapon": 167, "personality": 135,
}  # fmt: skip
_DENIED_WITHOUT_NAMESPACES = {
    "execve": 59, "execveat": 322, "unlink": 87, "unlinkat": 263, "rename": 82, "renameat": 264, "renameat2": 316,
    "mkdir": 83, "mkdirat": 258, "rmdir": 84, "truncate": 76, "symlink": 88, "symlinkat": 266, "link": 86,
    "linkat": 265,
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94,
    "fchownat": 260,
    "mknod": 133, "mknodat": 259, "creat": 85, "setxattr": 188, "utime": 132, "utimes": 235, "utimensat": 280,
    "setrlimit": 160, "rt_sigqueueinfo": 129, "pidfd_send_signal": 424, "pidfd_open": 434, "setsid": 112,
    "setpgid": 109,
    "setpriority": 141, "openat2": 437, "tkill": 200,
}  # fmt: skip


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _filter(own: int | None) -> bytes:
    """The filter as classic BPF; with `own` (a pid) the stricter one for use without namespaces."""
    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse, missing = _op(give, 0x7FFF0000), _op(give, 0x00050000 | _EPERM), _op(give, 0x00050000 | _ENOSYS)
    out = [_op(load, 4), _op(equal, 0xC000003E, 1, 0), _op(give, 0x80000000), _op(load, 0)]
    out += [_op(0x35, 0x40000000, 0, 1), refuse]  # the x32 calls
    out += [_op(equal, 435, 0, 1), missing]  # clone3: libc falls back to clone, whose flags can be read
    out += [_op(equal, 56, 0, 4), _op(load, 16), _op(any_bit, 0x00010000, 0, 1), allow, refuse]  # clone: threads only
    for number in _DENIED.values():
        out += [_op(equal, number, 0, 1), refuse]
    if own is not None:
        for number in _DENIED_WITHOUT_NAMESPACES.values():
            out += [_op(equal, number, 0, 1), refuse]
        for number, argument in ((62, 16), (234, 16)):  # kill, tgkill: only oneself
            out += [_op(equal, number, 0, 4), _op(load, argument), _op(equal, own, 0, 1), allow, refuse]
        for number, argument in ((2, 24), (257, 32)):  # open, openat: no flag that writes or creates
            flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            out += [_op(equal, number, 0, 4), _op(load, argument), _op(any_bit, flags, 0, 1), refuse, allow]
        out += [_op(equal, 302, 0, 6), _op(load, 32), _op(equal, 0, 0, 3), _op(load, 36), _op(equal, 0, 0, 1), allow]
        out += [refuse]  # prlimit64: reading only
    out += [allow]
    return b"".join(out)


def _can_filter() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


# starting a program -----------------------------------------------------------------------------------------------


@functools.cache
def _runner() -> CodeType:
    source = Path(__file__).with_name("runner.py").read_text()
    return compile(source, "<runner>", "exec", dont_inherit=True)


@functools.cache
def _import_path() -> list[str]:
    folders = [sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"], *site.getsitepackages()]
    folders += [f for f in sys.path if os.path.basename(f) == "site-packages"]  # those that a .pth file names
    return [f for f in dict.fromkeys(folders) if os.path.isdir(f)]


@functools.cache
def _bwrap_arguments() -> list[str]:
    arguments = [
        shutil.which("bwrap") or "bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc",
        "--die-with-parent", "--new-session", "--as-pid-1",
        "--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp",
        "--setenv", "LANG", "C.UTF-8", "--setenv", "PYTHONHASHSEED", "0",
    ]  # fmt: skip
    arguments += ["--size", str(4 * Limits().file_bytes), "--tmpfs", "/tmp", "--ro-bind", "/usr", "/usr"]
    for folder in ("/lib", "/lib64", "/lib32", "/bin"):
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    real = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    bound = ["/usr"]  # every mount costs a quarter of a millisecond a program
    for folder in (sys.base_prefix, sys.base_exec_prefix, sys.prefix, real, *_import_path()):
        if folder != "/" and not any(folder == b or folder.startswith(b + "/") for b in bound):
            arguments += ["--ro-bind", folder, folder]
            bound.append(folder)
    for device in ("/dev/null", "/dev/urandom"):
        arguments += ["--dev-bind", device, device]
    return [*arguments, "--chdir", "/tmp"]


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("midway", 0)
    os.write(fd, data) if len(data) < 1 << 16 else os.fdopen(os.dup(fd), "wb").write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
_BOOT = """import marshal, posix
data, size = b"", 8
while len(data) < size:
    chunk = posix.read(FD, 1 << 20)
    if not chunk:
        posix._exit(0)
    data += chunk
    if size == 8 <= len(data):
        size += int.from_bytes(data[:8], "big")
posix.close(FD)
CONFIG, runner = marshal.loads(data[8:])
del data, size, chunk
exec(runner)
"""
_STRICT = """def own_filter(pid, steps=STEPS):
    import struct
    return b"".join(struct.pack("<HBBI", 0x15, 0, 1, pid) if s is None else s for s in steps)
CONFIG["filter"] = own_filter
"""


class _Ready:
    """A started sandbox whose Python waits at its door for a program: nothing untrusted has run in it."""

    def __init__(self, kind: str) -> None:
        self.owner = os.getpid()
        inside, self.door = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.door, fcntl.F_SETPIPE_SZ, 1 << 20)
        boot = _BOOT.replace("FD", str(inside))
        if kind != "bubblewrap" and _can_filter():
            boot = boot.replace("exec(", _STRICT.replace("STEPS", repr(_strict_steps())) + "exec(")
        command = [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", boot]
        passed = [inside]
        if kind == "bubblewrap":
            sandbox = list(_bwrap_arguments())
            if _can_filter():
                passed.append(_memory_file(_filter(None)))
                sandbox += ["--seccomp", str(passed[-1])]
            command = sandbox + command
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=passed, env=_ENVIRONMENT, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(self.door)
            raise SandboxUnavailable(f"cannot start {command[0]}: {error}") from error
        finally:
            for fd in passed:
                os.close(fd)

    def let_in(self, payload: bytes) -> None:
        """Hand over the program. A sandbox that is gone is noticed later, when it gives no answer."""
        data = len(payload).to_bytes(8, "big") + payload
        try:
            while data:
                data = data[os.write(self.door, data) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(self.door)


_ahead = threading.local()
"""`ready`: the sandbox that this thread started ahead. A sandbox dies with the thread that started it."""


def _started_ahead(kind: str) -> _Ready | None:
    """Take the sandbox that was started ahead, if it waits still."""
    ready: _Ready | None = getattr(_ahead, "ready", None)
    _ahead.ready = None
    if ready is None or kind != "bubblewrap" or ready.owner != os.getpid():
        return None
    if ready.process.poll() is not None:
        ready.let_in(b"")
        return None
    return ready


def end_ahead() -> None:
    """End the sandbox that this thread started ahead, and reap it."""
    if ready := _started_ahead("bubblewrap"):
        os.killpg(ready.process.pid, signal.SIGKILL)
        os.close(ready.door)
        ready.process.wait()


class Program:
    """A running program and its three pipes. Leave the `with` block to kill it and all it left behind.

    `script`: run it as a script with `stdin` as its input; else load it and answer requests (see runner.py). `ahead`:
    start the next program's sandbox, with bubblewrap, while this one loads; it waits, empty, until then or until this
    thread ends. Raises SandboxUnavailable when the sandbox cannot be started.
    """

    def __init__(
        self, program: str, limits: Limits, *, script: bool, kind: str | None = None, ahead: bool = False
    ) -> None:
        self.limits = limits
        self.kind = kind or available()
        config = {
            "program": program,
            "script": script,
            "path": _import_path(),
            "cpu": math.ceil(1.5 * limits.cpu_seconds) + 1,
            "memory": limits.memory_bytes,
            "file": limits.file_bytes,
            "processes": 0 if _can_filter() else 32,
            "filter": b"",
        }
        waiting = _started_ahead(self.kind)
        ready = waiting or _Ready(self.kind)
        self.process = ready.process
        self._inside: int | None = None
        self._waited_before = (0.0, 0.0)
        """Seconds that the program's process, and the sandbox around it, had waited for a processor before its start."""
        if waiting:
            with contextlib.suppress(OSError, ValueError, IndexError):
                inside, outside = (busy_seconds(pid) or (0.0, 0.0) for pid in (self.inside(), self.process.pid))
                self._waited_before = (inside[1], outside[1])
        ready.let_in(marshal.dumps((config, _runner())))
        self.head_start = START_SECONDS if waiting else 0.0
        self.started = time.monotonic() - self.head_start
        if ahead and self.kind == "bubblewrap":
            with contextlib.suppress(SandboxUnavailable):
                _ahead.ready = _Ready(self.kind)
        self._ended = 0.0
        self._own_wait = own_wait()
        self.late = ""
        self.cpu = 0.0
        self.stderr = b""

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def inside(self) -> int:
        """The process id, out here, of the program itself, also after its end; of the sandbox while that starts."""
        if self._inside is None:
            pid = self.process.pid
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                if children:
                    self._inside = int(children[0])
            return self._inside or pid
        return self._inside

    def time_left(self, elapsed: float | None = None) -> float:
        """Seconds for which it may go on before the next look; 0 when its time is up, and `late` then says which.

        What counts is the time it runs (`cpu`) and the time it is idle, neither running nor waiting for a processor
        (`idle`); with `run_seconds` both together. `elapsed`: the seconds in which it was its turn; default: all since
        its start. A program that has ended is not idle: the end of its output comes with the sandbox's own end, which a
        busy machine may delay.
        """
        elapsed = time.monotonic() - self.started if elapsed is None else elapsed
        inside, outside = self.inside(), self.process.pid
        limits = self.limits
        limit = limits.run_seconds or limits.idle_seconds
        if elapsed < min(limit, limits.cpu_seconds):  # cannot be up: no need to look further
            return min(limit, limits.cpu_seconds) - elapsed
        try:
            ran, waited = busy_seconds(inside) or (0.0, 0.75 * elapsed + self._waited_before[0])
            waited -= self._waited_before[0]
            spent = elapsed - waited - (0.0 if limits.run_seconds else ran)
            spent -= own_wait() - self._own_wait  # the program had answered, and we were not there to see it
            if inside != outside:  # nor does waiting for a processor while the sandbox was made
                spent -= (busy_seconds(outside) or self._waited_before)[1] - self._waited_before[1]
        except (OSError, ValueError, IndexError):
            self._ended = self._ended or time.monotonic()
            return max(0.0, self._ended + ENDING_SECONDS - time.monotonic())
        left = min(limit - spent, limits.cpu_seconds - ran)
        if left <= 0.0:
            self.late = "cpu" if ran >= limits.cpu_seconds or ran > spent / 2 else "idle"
        return max(0.0, left)

    def nap(self, longest: float, elapsed: float | None = None) -> float:
        """Seconds to wait before the next look at `time_left`: never past the moment when they may be up."""
        return min(longest, max(0.001, self.time_left(elapsed)), 0.01 if self._ended else longest)

    def used(self) -> float:
        """CPU seconds that the living program itself has used so far."""
        try:
            fields = Path(f"/proc/{self.inside()}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> int:
        """Kill it, reap it and return its exit code (negative: a signal). `cpu` then holds its CPU seconds."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self.process.returncode or 0

    def wait(self) -> int:
        """Reap a program that has ended (or is about to); its exit code."""
        if self.process.returncode is None:
            _, status, usage = os.wait4(self.process.pid, 0)
            self.cpu = usage.ru_utime + usage.ru_stime
            self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode

    def why_dead(self) -> str:
        """Reap it and say why it ended: `timeout`, `sandbox` (never started), `killed` or `exit CODE`."""
        code = self.wait()
        if self.cpu >= self.limits.cpu_seconds / 2 and code in (-9, 137):
            return "timeout"
        if b"bwrap:" in self.stderr[:6] or code == 97:
            return "sandbox"
        if code in (-9, 137):
            return "killed"
        return f"exit {code}"

    def run(self, data: bytes, limit: int) -> tuple[str, bytes]:
        """Feed `data`, read the output to its end; `(status, output)` with `done`, `timeout` or `output-limit`."""
        p = self.process
        assert p.stdin and p.stdout and p.stderr
        os.set_blocking(p.stdin.fileno(), False)
        output = bytearray()
        open_pipes = {p.stdout.fileno(), p.stderr.fileno()}
        writable = [p.stdin.fileno()] if data else []
        if not data:
            p.stdin.close()
        while open_pipes:
            ready, free, _ = select.select(list(open_pipes), writable, [], self.nap(0.2))
            if free:
                try:
                    data = data[os.write(free[0], data[: 1 << 16]) :]
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    data = b""
                if not data:
                    writable = []
                    p.stdin.close()
            for fd in ready:
                chunk = os.read(fd, 1 << 16)
                if not chunk:
                    open_pipes.discard(fd)
                elif fd == p.stdout.fileno():
                    output += chunk
                else:
                    self.stderr = (self.stderr + chunk)[-8192:]
            if len(output) > limit:
                return "output-limit", bytes(output[:limit])
            if not self.time_left():
                return "timeout", bytes(output)
        # both pipes are closed, yet it may live on: give it until its limits
        while os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if not self.time_left():
                return "timeout", bytes(output)
            time.sleep(self.nap(0.01))
        return ("timeout" if self.why_dead() == "timeout" else "done"), bytes(output)


def _strict_steps() -> list[bytes | None]:
    """The strict filter's instructions, with None for those that hold the pid, which is not known before it runs."""
    marker = 0x7ABCDEF1
    code = _filter(marker)
    steps = [code[k : k + 8] for k in range(0, len(code), 8)]
    return [None if step == _op(0x15, marker, 0, 1) else step for step in steps]


# which sandbox there is -------------------------------------------------------------------------------------------

_warned = False


@functools.cache
def available() -> str:
    """Return `bubblewrap` if a program runs in it here (tried once), else `limits`, and says so once."""
    if shutil.which("bwrap"):
        with Program("print('ok')", Limits(), script=True, kind="bubblewrap") as program:
            status, output = program.run(b"", 100)
            if status == "done" and output.strip() == b"ok":
                return "bubblewrap"
            why = program.stderr.decode(errors="replace").strip()
    else:
        why = "bwrap is not installed"
    print(
        f"midway: NO SANDBOX: {why}. Programs run with limits and a system-call filter only and can read this"
        " user's files. Install bubblewrap (apt-get install bubblewrap), or pass --require-sandbox to refuse.",
        file=sys.stderr,
        flush=True,
    )
    return "limits"


def require() -> None:
    """Raise SandboxUnavailable unless programs run in bubblewrap here."""
    if available() != "bubblewrap":
        raise SandboxUnavailable(
            "no sandbox on this machine: install bubblewrap (apt-get install bubblewrap),"
            " or leave out --require-sandbox"
        )
