"""Runs a program of an image as a container of the chart is run: confined.py ROOT WORD...

Root file system read only, /tmp, /proc and a few devices apart, user 65532, no capability, no new privileges. Called in
a mount namespace of its own.
"""

import ctypes
import os
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
USER = 65532


def main():
    root, words = sys.argv[1], sys.argv[2:]
    for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", root, root],
                    ["mount", "-o", "remount,bind,ro", root], ["mount", "-t", "tmpfs", "tmpfs", f"{root}/tmp"],
                    ["mount", "-t", "proc", "proc", f"{root}/proc"]):
        subprocess.run(command, check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{root}/dev"], check=True)
    for device in ("null", "zero", "random", "urandom"):
        open(f"{root}/dev/{device}", "w").close()
        subprocess.run(["mount", "--bind", f"/dev/{device}", f"{root}/dev/{device}"], check=True)
    libc = ctypes.CDLL(None, use_errno=True)
    os.chroot(root)
    os.chdir("/")
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no new privileges")
    environment = {"PATH": "/usr/local/bin", **{k[4:]: v for k, v in os.environ.items() if k.startswith("IMG_")}}
    os.execve(words[0], words, environment)


main()
