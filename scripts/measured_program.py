"""Runs a program that writes a JSON object, and tells how much memory it took. For the scripts that measure."""

import json
import os
import signal
import subprocess
import tempfile


class ProgramError(Exception):
    """A program that could not be started, failed, or wrote no JSON. `reason` is the last thing that it said; `code` its exit code, if it ran."""

    def __init__(self, message, code=None, reason=""):
        super().__init__(message)
        self.code, self.reason = code, reason


class Stopped(Exception):
    """Somebody wants us to end, as `timeout` does."""


def stop_when_told():
    """From now on SIGTERM raises Stopped, so that what was measured can still be told. The program that is running is killed."""
    def stop(_signal, _frame):
        raise Stopped("stopped before it was done")

    signal.signal(signal.SIGTERM, stop)


def run_json(command, environment=None):
    """The object that the program wrote, with "peak_memory_bytes": its largest resident set, in bytes, unless the program tells that itself (`locus bench`
    does, without the memory that it takes for measuring). Linux counts this program too until the child has become the other one, so the figure is never
    below our own size. `environment` is added to ours."""
    command = [str(part) for part in command]
    shown = " ".join(command)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                     env={**os.environ, **(environment or {})})
        except OSError as error:
            raise ProgramError(f"cannot run {command[0]}: {error.strerror}") from None
        try:
            _, status, usage = os.wait4(child.pid, 0)  # of this child alone; getrusage() has the largest of all children
        except BaseException:
            child.kill()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        if child.returncode != 0:
            reason = errors.read().strip().splitlines() or ["no message"]
            raise ProgramError(f"{shown} ended with code {child.returncode}: {reason[-1]}", child.returncode, reason[-1])
        text = output.read()
    try:
        result = json.loads(text[text.index("{"):])
    except ValueError:
        raise ProgramError(f"{shown} wrote no JSON") from None
    return {"peak_memory_bytes": usage.ru_maxrss * 1024, **result}
