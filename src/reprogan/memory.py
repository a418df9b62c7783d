"""How much memory there is, and how the C library treats what is freed."""

import ctypes
import os
import sys


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of handing it back to the kernel.

    Every step of a training and every block of a score allocates the same sizes again; without this, each of them is
    mapped and zeroed page by page.
    """
    if sys.platform.startswith("linux"):
        m_trim_threshold, m_mmap_threshold = -1, -3
        try:
            libc = ctypes.CDLL("libc.so.6")
        except OSError:  # another C library (musl): it has no such setting
            return
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, (1 << 31) - 1)


def available_memory() -> int:
    """Bytes that can be taken without another process having to give any; all there are where the system is silent."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
