"""Coroutines run to their end, whatever else this process has begun.

A browser that was opened by an earlier test leaves its event loop running in this thread, where
no other may begin then; so each gets a thread of its own.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor


def finished(coroutine):
    """What a coroutine gives."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
